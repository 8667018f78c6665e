//! Where the process's control groups are: a directory for each group on the way from its own up to the root of what is
//! mounted. Version 2 has one hierarchy for everything; version 1 has one for each controller, or for a few together.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// Directories of groups below `root`, which stands for `/`: the process's own group first.
pub(super) fn version_2(root: &Path) -> Vec<PathBuf> {
    let Some(own) = own_group(root, str::is_empty) else { return Vec::new() };
    let mount = mount(root, |kind, _| kind == "cgroup2")
        .unwrap_or_else(|| Mount { group: PathBuf::from("/"), directory: PathBuf::from("/sys/fs/cgroup") });
    mount.directories(root, &own)
}

/// The same for the hierarchy of a version 1 controller; none where it has none.
pub(super) fn version_1(root: &Path, controller: &str) -> Vec<PathBuf> {
    let names_it = |list: &str| list.split(',').any(|name| name == controller);
    let Some(own) = own_group(root, names_it) else { return Vec::new() };
    let mount = mount(root, |kind, options| kind == "cgroup" && names_it(options));
    mount.map_or_else(Vec::new, |mount| mount.directories(root, &own))
}

/// The group out of `/proc/self/cgroup`, whose lines are `NUMBER:CONTROLLERS:PATH`; version 2 has no controllers there.
fn own_group(root: &Path, is_wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        is_wanted(fields.next()?).then(|| fields.next().map(PathBuf::from))?
    })
}

/// A mounted hierarchy, or a part of it.
struct Mount {
    /// The group that is mounted.
    group: PathBuf,
    /// Where.
    directory: PathBuf,
}

impl Mount {
    fn directories(&self, root: &Path, own: &Path) -> Vec<PathBuf> {
        // In a container the mount may show only a part of the tree, and the group's path may lead out of it; then
        // what is mounted is the best there is to ask.
        let inside = own.strip_prefix(&self.group).unwrap_or(Path::new(""));
        let leads_out = inside.components().any(|part| part == Component::ParentDir);
        let inside = if leads_out { Path::new("") } else { inside };
        let mount = root.join(self.directory.strip_prefix("/").unwrap_or(&self.directory));
        inside.ancestors().map(|group| mount.join(group)).collect()
    }
}

/// The first mount of a kind, and with options, that are wanted, out of `/proc/self/mountinfo`.
fn mount(root: &Path, is_wanted: impl Fn(&str, &str) -> bool) -> Option<Mount> {
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).ok()?;
    mounts.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let (kind, options) = (filesystem.next()?, filesystem.nth(1).unwrap_or_default());
        if !is_wanted(kind, options) {
            return None;
        }
        let mut fields = mount.split(' ').skip(3).map(unescaped);
        Some(Mount { group: fields.next()?, directory: fields.next()? })
    })
}

/// Paths there have `\040` for a space and the like.
fn unescaped(field: &str) -> PathBuf {
    let mut path = String::new();
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        path.push_str(before);
        let byte = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        if let Some(byte) = byte.filter(u8::is_ascii) {
            path.push(char::from(byte));
            rest = &after[3..];
        } else {
            path.push('\\');
            rest = after;
        }
    }
    path.push_str(rest);
    PathBuf::from(path)
}
