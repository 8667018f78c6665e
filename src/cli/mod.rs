//! The command line: thin. It reads what was typed, opens files, and moves lines to the engine and results to their
//! file; what happens to events is the engine's.

mod args;
mod bench;
mod check;
mod checkpoint_list;
mod checkpoints;
mod control;
mod ctl;
mod dead_letters;
mod doctor;
mod event_lines;
mod exit;
mod faults;
mod files;
mod follow;
mod gauges;
mod listen;
mod low_jitter;
mod machine;
mod messages;
mod output;
mod pace;
mod plan;
mod progress;
mod run;
mod settings;
mod signals;
mod summary;
mod top;
mod tree;
mod wait;

use std::process::ExitCode;

use clap::Parser;

/// Runs the command that was typed.
pub(crate) fn main() -> ExitCode {
    let exit = match args::Args::parse().command {
        args::Command::Run(typed) => run::run(&typed),
        args::Command::Check(typed) => check::check(&typed),
        args::Command::Plan(typed) => plan::plan(&typed),
        args::Command::Doctor(typed) => doctor::doctor(&typed),
        args::Command::Bench(typed) => bench::bench(typed),
        args::Command::Ctl(typed) => ctl::ctl(&typed),
        args::Command::Top(typed) => top::top(&typed),
        args::Command::Checkpoints(typed) => checkpoint_list::checkpoints(&typed),
    };
    exit.into()
}
