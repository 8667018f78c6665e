//! A program out of any bytes, by the grammar. Each byte is a choice; where they end, the shortest choice is taken. Names
//! are few, so that streams find each other and fields are there.

use std::fmt::{self, Write as _};

use arbitrary::{Arbitrary, Result, Unstructured};

/// The declared event types and their fields.
const EVENTS: &str = "event A:\n    k: str\n    v: int\n    w: float\nevent B extends A:\n    t: timestamp\n    d: duration?\n\
                      event C:\n    k: str\n    xs: [int]\n    m: {str: float}\n    ok: bool\n";
const FUNCTIONS: &str = "var total = 0\nconst LIMIT = 3\nlet names = [\"a\", \"b\"]\n\
fn bump(x: int) -> int:\n    total := total + x\n    return total\n\
fn fib(n: int) -> int:\n    if n < 2: return n\n    return fib(n - 1) + fib(n - 2)\n\
fn spread(k: str, v: int):\n    for i in 0..v:\n        emit Made(k: k, v: i)\n    if v % 2 == 0:\n        emit Even(v: v)\n\
fn loops(xs: [int]) -> int:\n    var sum = 0\n    for x in xs:\n        if x < 0: continue\n        sum := sum + x\n        if sum > 9: break\n    return sum\n";
const SOURCES: [&str; 9] = ["A", "B", "C", "U", "S0", "S1", "S2", "Made", "S3"];
const FIELDS: [&str; 12] = ["k", "v", "w", "t", "d", "xs", "m", "ok", "x", "n", "timestamp", "v"];
const DURATIONS: [&str; 8] = ["1s", "5s", "500ms", "2s", "1m", "0s", "1ns", "1h"];
const INTS: [&str; 10] = ["0", "1", "2", "3", "-1", "10", "9223372036854775807", "1_000", "4294967296", "64"];
const OTHERS: [&str; 12] =
    ["1.5", "0.0", "1e300", "true", "false", "null", "\"a\"", "\"\"", "\"é\\n\"", "5s", "@2024-01-15", "2.0"];
const BINARY: [&str; 24] = [
    "+", "-", "*", "/", "%", "**", "==", "!=", "<", "<=", ">", ">=", "and", "or", "xor", "in", "not in", "|",
    "&", "^", "<<", ">>", "??", "is",
];
const CALLS: [(&str, usize); 46] = [
    ("abs", 1),
    ("sqrt", 1),
    ("floor", 1),
    ("ceil", 1),
    ("round", 1),
    ("round", 2),
    ("log", 1),
    ("exp", 1),
    ("pow", 2),
    ("min", 2),
    ("max", 2),
    ("clamp", 3),
    ("len", 1),
    ("trim", 1),
    ("upper", 1),
    ("lower", 1),
    ("contains", 2),
    ("starts_with", 2),
    ("replace", 3),
    ("split", 2),
    ("join", 2),
    ("concat", 2),
    ("substr", 2),
    ("substr", 3),
    ("first", 1),
    ("last", 1),
    ("push", 2),
    ("pop", 1),
    ("reverse", 1),
    ("sort", 1),
    ("unique", 1),
    ("flatten", 1),
    ("zip", 2),
    ("range", 1),
    ("keys", 1),
    ("values", 1),
    ("sum", 1),
    ("to_string", 1),
    ("to_int", 1),
    ("to_float", 1),
    ("type_of", 1),
    ("coalesce", 2),
    ("bump", 1),
    ("fib", 1),
    ("loops", 1),
    ("format", 2),
];
const AGGREGATES: [&str; 20] = [
    "count()",
    "count(#)",
    "count(distinct(#))",
    "count_distinct(#)",
    "sum(#)",
    "avg(#)",
    "min(#)",
    "max(#)",
    "first(#)",
    "last(#)",
    "stddev(#)",
    "variance(#)",
    "median(#)",
    "percentile(#, 0.5)",
    "p95(#)",
    "ema(#, 3)",
    "collect(#)",
    "max(#) - min(#)",
    "sum(#) / count()",
    "last(k)",
];

/// A program, as text.
pub struct Generated {
    pub text: String,
}

impl fmt::Debug for Generated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'a> Arbitrary<'a> for Generated {
    fn arbitrary(input: &mut Unstructured<'a>) -> Result<Self> {
        let mut maker = Maker { input, text: String::new(), depth: 0 };
        maker.program()?;
        Ok(Self { text: maker.text })
    }
}

struct Maker<'m, 'a> {
    input: &'m mut Unstructured<'a>,
    text: String,
    depth: usize,
}

impl Maker<'_, '_> {
    /// A choice among `count`; 0 where the input has ended.
    fn choice(&mut self, count: usize) -> Result<usize> {
        if self.input.is_empty() { Ok(0) } else { self.input.choose_index(count) }
    }

    /// Whether one choice of `count` has fallen.
    fn rarely(&mut self, count: usize) -> Result<bool> {
        Ok(self.choice(count)? == count - 1)
    }

    fn pick(&mut self, choices: &[&str]) -> Result<()> {
        let choice = self.choice(choices.len())?;
        self.text.push_str(choices[choice]);
        Ok(())
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn program(&mut self) -> Result<()> {
        if !self.rarely(4)? {
            self.push(EVENTS);
        }
        self.push(FUNCTIONS);
        if self.rarely(3)? {
            self.push("pattern P = A as a -> B as b where b.v > a.v within 5s\n");
        }
        let streams = 1 + self.choice(4)?;
        for number in 0..streams {
            self.stream(number)?;
        }
        Ok(())
    }

    fn stream(&mut self, number: usize) -> Result<()> {
        let _ = write!(self.text, "stream S{number} = ");
        let kind = self.choice(8)?;
        match kind {
            0..=2 => self.step(number)?,
            3 => {
                self.push("merge(");
                for branch in 0..2 + self.choice(2)? {
                    if branch > 0 {
                        self.push(", ");
                    }
                    if self.rarely(2)? {
                        let _ = write!(self.text, "stream b{branch} = ");
                        self.source(number)?;
                        self.push(".where(");
                        self.condition()?;
                        self.push(")");
                    } else {
                        self.source(number)?;
                    }
                }
                self.push(")");
            }
            4 => {
                self.pick(&["join", "left_join", "right_join", "full_join"])?;
                self.push("(stream l = ");
                self.source(number)?;
                self.push(", stream r = ");
                self.source(number)?;
                self.push(")\n    .on(l.");
                self.field()?;
                self.push(" == r.");
                self.field()?;
                self.push(")\n    .window(");
                self.pick(&DURATIONS)?;
                self.push(")\n    .select(k: l.k, v: l.v, w: r.w, x: r.");
                self.field()?;
                self.push(")");
            }
            5 => {
                self.push("timer(");
                self.pick(&["5s", "1s", "1m"])?;
                self.push(")\n    .select(k: \"t\", v: 1, w: 0.5)");
            }
            _ => return self.sequence(number),
        }
        self.push("\n");
        let mut windowed = false;
        for _ in 0..self.choice(6)? {
            self.operator(&mut windowed)?;
        }
        self.end(windowed)
    }

    fn source(&mut self, number: usize) -> Result<()> {
        let choice = self.choice(SOURCES.len())?;
        let name = SOURCES[choice];
        // Mostly no cycles.
        let later = name.strip_prefix('S').and_then(|n| n.parse::<usize>().ok()).is_some_and(|n| n >= number);
        self.push(if later { "A" } else { name });
        Ok(())
    }

    fn step(&mut self, number: usize) -> Result<()> {
        self.source(number)?;
        if self.rarely(4)? {
            self.push(" as a");
        }
        if self.rarely(4)? {
            self.push(" where ");
            self.condition()?;
        }
        Ok(())
    }

    fn sequence(&mut self, number: usize) -> Result<()> {
        if self.rarely(8)? {
            self.push("P");
        } else {
            if self.rarely(4)? {
                self.push("all ");
            }
            self.source(number)?;
            self.push(" as s0");
            for step in 1..2 + self.choice(3)? {
                self.push("\n    -> ");
                if self.rarely(3)? {
                    self.push("all ");
                }
                self.source(number)?;
                if self.rarely(6)? {
                    self.pick(&[".increasing(v)", ".decreasing(w)"])?;
                }
                if self.rarely(2)? {
                    self.push(" where ");
                    match self.choice(4)? {
                        0 => self.condition()?,
                        1 => {
                            let _ = write!(self.text, "v > s{}.v", step - 1);
                        }
                        2 => self.push("k == s0.k"),
                        _ => {
                            let _ = write!(self.text, "v != s{}.v and w > 0", step - 1);
                        }
                    }
                }
                let _ = write!(self.text, " as s{step}");
                if self.rarely(5)? {
                    self.push("\n    .not(");
                    self.source(number)?;
                    self.push(" where ");
                    self.condition()?;
                    self.push(")");
                }
            }
        }
        self.push("\n");
        for (rarity, choices) in [
            (2, &["    .within(5s)\n", "    .within(1m)\n"][..]),
            (2, &["    .partition_by(k)\n", "    .partition_by(v % 2)\n"]),
            (3, &["    .strict()\n", "    .stnm()\n", "    .stam()\n"]),
            (3, &["    .each()\n", "    .longest()\n", "    .subsets()\n"]),
        ] {
            if self.rarely(rarity)? {
                self.pick(choices)?;
            }
        }
        self.pick(&[
            "    .emit(v: s0.v, x: s1.v, gap: match_duration_ms)\n",
            "    .emit(n: count(s1), v: sum(s1.v), x: first(s1).v, y: last(s1).w)\n",
            "    .emit(v: v, k: s0.k)\n",
            "    .emit(v: a.v, w: b.w)\n",
            "",
        ])
    }

    fn operator(&mut self, windowed: &mut bool) -> Result<()> {
        match self.choice(18)? {
            0..=2 => self.wrapped("where", Self::condition)?,
            3 => self.wrapped("select", |maker| {
                maker.push("k, v: ");
                maker.expr()?;
                maker.push(", w: w");
                Ok(())
            })?,
            4 => self.wrapped("map", |maker| {
                maker.push("x => {k: x.k, v: x.v, w: ");
                maker.expr()?;
                maker.push("}");
                Ok(())
            })?,
            5 => self.wrapped("filter", |maker| {
                maker.push("x => x.");
                maker.field()?;
                maker.push(" > 0");
                Ok(())
            })?,
            6 => {
                self.pick(&["    .distinct()\n", "    .distinct(k)\n", "    .limit(5)\n", "    .limit(0)\n"])?
            }
            7 => {
                self.pick(&["    .partition_by(k)\n", "    .partition_by(v)\n", "    .partition_by(ok)\n"])?
            }
            8 => self.pick(&[
                "    .watermark(out_of_order: 2s)\n",
                "    .allowed_lateness(1s)\n",
                "    .on_error(skip)\n",
                "    .on_error(retry(2))\n",
                "    .on_error(fail)\n",
            ])?,
            9 => self.pick(&[
                "    .print(k, v)\n",
                "    .tap(v)\n",
                "    .log(level: \"warn\", message: \"m\", data: v)\n",
            ])?,
            10..=12 if !*windowed => {
                *windowed = true;
                self.push("    .window(");
                match self.choice(7)? {
                    0 => self.pick(&DURATIONS)?,
                    1 => self.pick(&["5s, sliding: 1s", "3s, sliding: 2s", "1s, sliding: 5s"])?,
                    2 => self.pick(&["3", "1", "5"])?,
                    3 => self.pick(&["4, sliding: 2", "3, sliding: 1", "5, sliding: 3"])?,
                    4 => self.pick(&["session: 5s", "session: 1s", "session: 0s"])?,
                    _ => self.push("5s, policy: \"first_event\""),
                }
                self.push(")\n");
            }
            13 if *windowed => {
                self.push("    .order_by(");
                self.field()?;
                self.pick(&["", " desc", " asc"])?;
                self.push(")\n");
            }
            14 if *windowed => self.aggregate()?,
            15 if self.rarely(2)? => self.pick(&[
                "    .concurrent(workers: 2, partition_key: k)\n",
                "    .concurrent(workers: 3)\n",
                "    .concurrent(workers: 2, strategy: round_robin)\n",
                "    .concurrent(workers: 2, strategy: broadcast)\n",
            ])?,
            15 => self.wrapped("having", Self::condition)?,
            16 => self.wrapped("partition_by", Self::expr)?,
            _ => self.wrapped("where", |maker| {
                maker.field()?;
                maker.push(" != null");
                Ok(())
            })?,
        }
        Ok(())
    }

    fn wrapped(&mut self, name: &str, inner: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let _ = write!(self.text, "    .{name}(");
        inner(self)?;
        self.push(")\n");
        Ok(())
    }

    fn aggregate(&mut self) -> Result<()> {
        self.push("    .aggregate(k: last(k)");
        for item in ["v", "w", "x"] {
            let _ = write!(self.text, ", {item}: ");
            let choice = self.choice(AGGREGATES.len())?;
            for (at, part) in AGGREGATES[choice].split('#').enumerate() {
                if at > 0 {
                    if self.rarely(4)? {
                        self.expr()?;
                    } else {
                        self.field()?;
                    }
                }
                self.push(part);
            }
        }
        self.push(")\n");
        Ok(())
    }

    fn end(&mut self, windowed: bool) -> Result<()> {
        if windowed && self.rarely(2)? {
            self.aggregate()?;
        }
        match self.choice(7)? {
            0 => self.push("    .emit()\n"),
            1 => self.wrapped("emit", |maker| {
                maker.push("k: k, v: ");
                maker.expr()?;
                maker.push(", w: w");
                Ok(())
            })?,
            2 => {
                self.push("    .emit as Made (k: k, v: ");
                self.expr()?;
                self.push(")\n");
            }
            3 => self.push("    .process(spread(k, v))\n"),
            4 => self.wrapped("emit", |maker| {
                maker.push("a: ");
                maker.expr()?;
                maker.push(", b: ");
                maker.expr()
            })?,
            _ => {}
        }
        Ok(())
    }

    fn field(&mut self) -> Result<()> {
        self.pick(&FIELDS)
    }

    fn condition(&mut self) -> Result<()> {
        match self.choice(5)? {
            0 => {
                self.field()?;
                self.pick(&[" > ", " == ", " < ", " != ", " >= "])?;
                self.pick(&INTS)
            }
            1 => self.pick(&["k == \"a\"", "v % 2 == 0", "w > 0.5", "k in names", "v in 0..3", "ok"]),
            2 => self.condition_of(" and "),
            3 => self.condition_of(" or "),
            _ => self.expr(),
        }
    }

    fn condition_of(&mut self, word: &str) -> Result<()> {
        if self.depth > 3 {
            return self.field();
        }
        self.depth += 1;
        self.condition()?;
        self.push(word);
        self.condition()?;
        self.depth -= 1;
        Ok(())
    }

    fn expr(&mut self) -> Result<()> {
        if self.depth > 4 || self.input.is_empty() {
            return self.field();
        }
        self.depth += 1;
        match self.choice(16)? {
            0..=2 => self.field()?,
            3 => self.pick(&INTS)?,
            4 => self.pick(&OTHERS)?,
            5..=7 => {
                self.push("(");
                self.expr()?;
                self.push(" ");
                self.pick(&BINARY)?;
                self.push(" ");
                self.expr()?;
                self.push(")");
            }
            8 | 9 => {
                let choice = self.choice(CALLS.len())?;
                let (name, count) = CALLS[choice];
                self.push(name);
                self.push("(");
                for at in 0..count {
                    if at > 0 {
                        self.push(", ");
                    }
                    self.expr()?;
                }
                self.push(")");
            }
            10 => {
                self.push("(if ");
                self.condition()?;
                self.push(" then ");
                self.expr()?;
                self.push(" else ");
                self.expr()?;
                self.push(")");
            }
            11 => {
                self.push("[");
                self.expr()?;
                self.push(", ");
                self.expr()?;
                self.push("]");
                self.pick(&["", "[0]", "[-1]", "[1:]", "[:1]", "[5]"])?;
            }
            12 => {
                self.push("{a: ");
                self.expr()?;
                self.push(", x: 1}");
                self.pick(&["", ".a", "?.x", ".nope"])?;
            }
            13 => {
                self.pick(&["xs", "[1, 2, 3]", "range(3)"])?;
                self.push(".map(y => ");
                self.expr()?;
                self.push(")");
            }
            14 => {
                self.pick(&["xs", "[3, 1, 2]"])?;
                self.push(".filter(y => y > ");
                self.pick(&INTS)?;
                self.push(")");
            }
            _ => {
                self.pick(&["-", "not ", "~"])?;
                self.push("(");
                self.expr()?;
                self.push(")");
            }
        }
        self.depth -= 1;
        Ok(())
    }
}
