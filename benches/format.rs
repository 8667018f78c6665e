//! How fast lines become rows, and rows lines, on one thread: `cargo bench --bench format`.
#![allow(clippy::format_push_string)] // building the input is not measured

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use varpin::event::{FieldType, Row, Shape, ShapeField, Value};
use varpin::format::{EventSource, Format, InputType, InputTypes, ResultLayout, ResultWriter, SourceOptions};

const LINES: usize = 20_000;

fn shape(declared: bool, rest: bool) -> Shape {
    let types = [FieldType::Str, FieldType::Float, FieldType::Str];
    let names = ["sensor_id", "temperature", "zone"];
    let mut shape = Shape { declared, ..Shape::default() };
    for (name, ty) in names.into_iter().zip(types) {
        let ty = if declared { ty } else { FieldType::Any };
        shape.fields.push(ShapeField { name: name.into(), ty, slot: None });
    }
    for position in 0..3 {
        shape.keep(position);
    }
    if rest {
        shape.rest = Some(shape.slots);
        shape.slots += 1;
    }
    shape
}

fn types(shape: Shape) -> InputTypes {
    InputTypes::new(vec![InputType { name: "SensorReading".into(), type_id: 0, shape }])
}

fn read_all(text: &str, format: Format, types: InputTypes, event_type: Option<&str>) -> usize {
    let mut options = SourceOptions::default();
    options.event_type = event_type.map(str::to_owned);
    let mut source = EventSource::new(text.as_bytes(), format, types, options).expect("the type is given");
    let mut row = Row::new(0, 0, 0);
    let mut rows = 0;
    while source.fill().expect("memory can be read") > 0 {
        while source.next(&mut row).expect("every line is good").is_some() {
            black_box(&row);
            rows += 1;
        }
    }
    rows
}

fn read(criterion: &mut Criterion) {
    let (mut evt, mut jsonl, mut csv) =
        (String::new(), String::new(), "sensor_id,temperature,zone\n".to_owned());
    for n in 0..LINES {
        let (id, temperature) = (format!("S{}", n % 100), format!("8{}.25", n % 10));
        evt += &format!(
            "SensorReading {{ sensor_id: \"{id}\", temperature: {temperature}, zone: \"north\" }}\n"
        );
        jsonl += &format!("{{\"event_type\":\"SensorReading\",\"data\":{{\"sensor_id\":\"{id}\",");
        jsonl += &format!("\"temperature\":{temperature},\"zone\":\"north\"}}}}\n");
        csv += &format!("{id},{temperature},north\n");
    }

    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Elements(LINES as u64));
    let cases = [
        ("evt_declared", &evt, Format::Evt, shape(true, false)),
        ("evt_undeclared", &evt, Format::Evt, shape(false, false)),
        ("evt_all_fields", &evt, Format::Evt, shape(false, true)),
        ("evt_nobody_reads", &evt, Format::Evt, Shape::default()),
        ("jsonl_undeclared", &jsonl, Format::Jsonl, shape(false, false)),
        ("csv_declared", &csv, Format::Csv, shape(true, false)),
    ];
    for (name, text, format, shape) in cases {
        let event_type = (format == Format::Csv).then_some("SensorReading");
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(read_all(text, format, types(shape.clone()), event_type), LINES));
        });
    }
    // What of this is only finding the lines.
    group.bench_function("lines_alone", |bencher| {
        bencher.iter(|| {
            let lines = memchr::memchr_iter(b'\n', evt.as_bytes()).count();
            assert_eq!(lines, LINES);
        });
    });
    group.finish();
}

fn write(criterion: &mut Criterion) {
    let layout = ResultLayout {
        stream: "Hot".into(),
        type_name: None,
        fields: vec![("sensor_id".into(), 0), ("temperature".into(), 1), ("zone".into(), 2)],
        rest: None,
    };
    let values = [Value::from("S17"), Value::Float(83.25), Value::from("north")];
    let mut group = criterion.benchmark_group("write");
    group.throughput(Throughput::Elements(1));
    for (name, step_ns) in [("same_time", 0), ("own_time", 1_000_000)] {
        let mut writer = ResultWriter::new(&layout);
        let mut row = Row::with_values(0, 0, &values);
        let mut out = Vec::with_capacity(1024);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                row.set_time_ns(row.time_ns() + step_ns);
                out.clear();
                writer.write(&mut out, black_box(&row));
                black_box(&out);
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = read, write
}
criterion_main!(benches);
