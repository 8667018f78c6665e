//! The VPL front end: text to syntax to plan. It knows no thread and no ring.

pub mod diagnostic;
pub mod parser;
pub mod print;
pub mod syntax;
