//! `varpin checkpoints DIR`: what there is, whether it is whole, and what is in it.

use std::io::Write;

use serde_json::{Value, json};
use varpin::checkpoint::{Checkpoint, Listed, list};
use varpin::event::time::write_rfc3339;
use varpin::event::{Snapshot, SnapshotReader};

use super::args::CheckpointsArgs;
use super::exit::Exit;
use super::messages;

/// Lists a directory's checkpoints, the oldest first. The exit code says whether all are whole.
pub(super) fn checkpoints(typed: &CheckpointsArgs) -> Exit {
    let listed = match list(&typed.directory) {
        Ok(listed) => listed,
        Err(error) => {
            messages::error(error);
            return Exit::Refused;
        }
    };
    let text = if typed.json {
        let all: Vec<Value> = listed.iter().map(to_json).collect();
        format!("{}\n", json!({ "directory": typed.directory.display().to_string(), "checkpoints": all }))
    } else if listed.is_empty() {
        format!("{}: no checkpoints\n", typed.directory.display())
    } else {
        listed.iter().map(to_text).collect()
    };
    // Whoever has stopped reading does not want to know.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
    if listed.iter().all(|listed| listed.content.is_ok()) { Exit::Done } else { Exit::Failed }
}

fn created(checkpoint: &Checkpoint) -> String {
    let mut text = Vec::new();
    write_rfc3339(&mut text, checkpoint.created_ns);
    String::from_utf8_lossy(&text).into_owned()
}

/// What an end has said about where it is: JSON, if it was `varpin run`.
fn place(checkpoint: &Checkpoint, section: &str) -> Option<Value> {
    let bytes = &checkpoint.section(section)?.bytes;
    let position = Vec::<u8>::read(&mut SnapshotReader::new(bytes)).ok()?;
    serde_json::from_slice(&position).ok()
}

/// By stream: keys, items and the bytes of its stage; what a pool's workers have is added up.
fn streams(checkpoint: &Checkpoint) -> Vec<(String, u64, u64)> {
    let mut streams: Vec<(String, u64, u64)> = Vec::new();
    for holding in checkpoint.sections.iter().flat_map(|section| &section.holdings) {
        match streams.iter_mut().find(|(stream, ..)| *stream == holding.stream) {
            Some((_, keys, items)) => {
                *keys += holding.keys;
                *items += holding.items;
            }
            None => streams.push((holding.stream.clone(), holding.keys, holding.items)),
        }
    }
    streams
}

fn to_json(listed: &Listed) -> Value {
    let file = listed.path.display().to_string();
    let checkpoint = match &listed.content {
        Ok(checkpoint) => checkpoint,
        Err(damage) => {
            return json!({ "file": file, "bytes": listed.bytes, "whole": false, "damage": damage.to_string() });
        }
    };
    let streams: Vec<Value> = streams(checkpoint)
        .into_iter()
        .map(|(stream, keys, items)| json!({ "stream": stream, "keys": keys, "items": items }))
        .collect();
    let sections = checkpoint.sections.iter();
    let sections: Vec<Value> =
        sections.map(|section| json!({ "section": section.name, "bytes": section.bytes.len() })).collect();
    json!({
        "file": file,
        "bytes": listed.bytes,
        "whole": true,
        "checkpoint": checkpoint.id,
        "created": created(checkpoint),
        "events": checkpoint.events,
        "seq": checkpoint.seq,
        "input": place(checkpoint, "input"),
        "output": place(checkpoint, "output"),
        "streams": streams,
        "sections": sections,
    })
}

fn to_text(listed: &Listed) -> String {
    let (path, bytes) = (listed.path.display(), listed.bytes);
    let checkpoint = match &listed.content {
        Ok(checkpoint) => checkpoint,
        Err(damage) => return format!("{path}: DAMAGED, {bytes} bytes: {damage}\n"),
    };
    let (id, created, events) = (checkpoint.id, created(checkpoint), checkpoint.events);
    let mut lines = vec![format!("{path}: checkpoint {id}, {created}, {bytes} bytes, {events} events")];
    for end in ["input", "output"] {
        lines.extend(place(checkpoint, end).map(|place| format!("    {end} {place}")));
    }
    for (stream, keys, items) in streams(checkpoint) {
        lines.push(format!("    stream {stream}: {keys} keys, {items} rows and values"));
    }
    for section in &checkpoint.sections {
        lines.push(format!("    {}: {} bytes", section.name, section.bytes.len()));
    }
    lines.push(String::new());
    lines.join("\n")
}
