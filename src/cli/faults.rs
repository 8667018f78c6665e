//! `--fault`: what is to fail on purpose.

use varpin::engine::Builder;

/// The faults that were typed.
#[cfg(feature = "faults")]
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<varpin::context::Fault>);

#[cfg(feature = "faults")]
impl Faults {
    pub(super) fn of(typed: &[String]) -> Result<Self, String> {
        typed.iter().map(|fault| fault.parse()).collect::<Result<_, _>>().map(Self)
    }

    /// Lets them strike.
    pub(super) fn build(&self, builder: Builder) -> Builder {
        self.0.iter().fold(builder, |builder, fault| builder.fault(fault.clone()))
    }
}

/// In a build without them there are none.
#[cfg(not(feature = "faults"))]
#[derive(Debug, Default)]
pub(super) struct Faults;

#[cfg(not(feature = "faults"))]
impl Faults {
    pub(super) fn of(typed: &[String]) -> Result<Self, String> {
        match typed {
            [] => Ok(Self),
            _ => Err("--fault: this varpin was built without the feature `faults`".to_owned()),
        }
    }

    #[expect(clippy::unused_self, reason = "the other one has some")]
    pub(super) fn build(&self, builder: Builder) -> Builder {
        builder
    }
}

/// Faults of writing results.
#[derive(Debug, Default)]
pub(super) struct SinkFaults {
    #[cfg(feature = "faults")]
    armed: Vec<varpin::context::ArmedFault>,
    #[cfg(feature = "faults")]
    calls: u64,
}

impl SinkFaults {
    /// A call is about to be made: the error with which it is to fail.
    #[cfg(feature = "faults")]
    pub(super) fn strike(&mut self) -> std::io::Result<()> {
        self.calls += 1;
        let calls = self.calls;
        if self.armed.iter_mut().any(|fault| fault.strikes(calls)) {
            return Err(std::io::Error::other("injected failure"));
        }
        Ok(())
    }

    #[cfg(not(feature = "faults"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the other one has some")]
    #[inline]
    pub(super) fn strike(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Faults {
    /// Those that strike where results are written.
    #[cfg(feature = "faults")]
    pub(super) fn of_sink(&self) -> SinkFaults {
        let of_sink = self.0.iter().filter(|fault| fault.kind == varpin::context::FaultKind::SinkFail);
        SinkFaults { armed: of_sink.cloned().map(varpin::context::ArmedFault::new).collect(), calls: 0 }
    }

    #[cfg(not(feature = "faults"))]
    #[expect(clippy::unused_self, reason = "the other one has some")]
    pub(super) fn of_sink(&self) -> SinkFaults {
        SinkFaults::default()
    }
}
