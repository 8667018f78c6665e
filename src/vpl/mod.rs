//! The VPL front end: text to syntax to plan. It knows no thread and no ring.

pub mod diagnostic;
mod lexer;
mod literal;
pub mod parser;
pub mod plan;
pub mod plan_print;
pub mod print;
pub mod resolve;
pub(crate) mod rewrite;
pub(crate) mod suggest;
pub mod syntax;
