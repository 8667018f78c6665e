//! Which CPUs there are, which of them this process may use, and pinning threads to them.
//!
//! CPUs go by the operating system's numbers everywhere; numbers may have gaps. What is read from text is parsed by
//! pure functions, and every reader of files takes the directory that stands for `/`, so tests bring their own.

mod control_groups;
mod cpu_set;
mod fusing;
mod isolation;
mod low_jitter;
mod pin;
mod placement;
mod quota;
mod system;
mod topology;

pub use cpu_set::{BadCpuList, CpuSet};
pub use fusing::{FusedThread, fuse};
pub use isolation::isolated_cpus;
pub use low_jitter::{
    LowJitter, LowJitterError, Realtime, RealtimeCase, RealtimeObstacle, ThreadTuning, realtime_obstacle,
};
pub use pin::{PinError, PinOutcome, PinPolicy, UnknownPinPolicy, allowed_cpus, pin_current};
pub use placement::{CpuWish, Placement, PlacementError, place};
pub use quota::{
    CpuGroup, Throttling, cpu_groups, cpu_quota, parse_cfs_quota, parse_cpu_max, parse_throttling,
};
#[cfg(feature = "vpl")]
pub(crate) use system::step_back;
pub(crate) use system::{advise_huge_pages, huge_page_bytes};
pub use topology::Topology;
