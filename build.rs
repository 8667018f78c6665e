//! Tells the crate how it is built, so that measurements can say so: which compiler, which profile, which flags.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output().ok();
    let version = version.and_then(|output| String::from_utf8(output.stdout).ok());
    println!("cargo::rustc-env=VARPIN_RUSTC={}", version.as_deref().unwrap_or("unknown").trim());
    let set = |name: &str| env::var(name).unwrap_or_else(|_| "unknown".to_owned());
    println!("cargo::rustc-env=VARPIN_PROFILE={}", set("PROFILE"));
    println!("cargo::rustc-env=VARPIN_OPT_LEVEL={}", set("OPT_LEVEL"));
    println!("cargo::rustc-env=VARPIN_TARGET={}", set("TARGET"));
}
