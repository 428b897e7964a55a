//! The measurements as tables in Markdown.

use std::fmt::Write as _;

use crate::{
    figures::{Figures, megabytes, micros, millis},
    measure::{Cold, First, Warm},
    programs::{BOOTSTRAP, FLOOR, HELLO, PYTHON, Program, Size},
};

/// The measurements of one program.
pub(crate) struct Measured<'a> {
    pub(crate) program: &'a Program,
    pub(crate) cold: Vec<Cold>,
    pub(crate) first: Vec<First>,
    pub(crate) warm: Vec<Warm>,
}

/// The figures of one program.
struct Row {
    name: String,
    description: String,
    size: Option<Size>,
    ready: Figures,
    answered: Figures,
    cold_cpu: Figures,
    first: Figures,
    first_cpu: Figures,
    connections: Figures,
    p50: Figures,
    p99: Figures,
    without_dynamodb: Figures,
    cpu: Figures,
    memory: Figures,
}

impl Measured<'_> {
    fn row(&self) -> Row {
        let percentile = |percent| {
            move |warm: &Warm| {
                Figures::of(warm.took.iter().copied().map(millis)).percentile(percent)
            }
        };
        let without_dynamodb =
            |warm: &Warm| Figures::of(warm.without_dynamodb.iter().copied().map(millis)).median();
        Row {
            name: self.program.name.clone(),
            description: self.program.description.clone(),
            size: self.program.size(),
            ready: Figures::of(self.cold.iter().map(|cold| millis(cold.ready))),
            answered: Figures::of(self.cold.iter().map(|cold| millis(cold.answered))),
            cold_cpu: Figures::of(self.cold.iter().map(|cold| millis(cold.cpu))),
            first: Figures::of(self.first.iter().map(|first| millis(first.took))),
            first_cpu: Figures::of(self.first.iter().map(|first| millis(first.cpu))),
            connections: Figures::of(self.first.iter().map(|first| first.connections as f64)),
            p50: Figures::of(self.warm.iter().map(percentile(50))),
            p99: Figures::of(self.warm.iter().map(percentile(99))),
            without_dynamodb: Figures::of(self.warm.iter().map(without_dynamodb)),
            cpu: Figures::of(self.warm.iter().map(|warm| micros(warm.cpu))),
            memory: Figures::of(self.warm.iter().map(|warm| megabytes(warm.memory))),
        }
    }
}

/// All tables.
pub(crate) fn tables(measured: &[Measured<'_>]) -> String {
    let rows: Vec<Row> = measured.iter().map(Measured::row).collect();
    let mut text = cold(&rows) + "\n" + &warm(&rows);
    if let Some(row) = find(&rows, BOOTSTRAP) {
        text += "\n";
        text += &aims(row, &rows);
    }
    text
}

fn find<'a>(rows: &'a [Row], name: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.name == name)
}

/// `value` as a multiple of the baseline's figure, or a dash if it was not measured.
fn times(value: f64, rows: &[Row], baseline: &str, figure: impl Fn(&Row) -> f64) -> String {
    find(rows, baseline).map_or("–".to_owned(), |row| {
        format!("{:.2}", value / figure(row))
    })
}

fn cold(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | size · zip MB | exec → asks, ms | exec → first answer, ms | × hello | × floor | CPU \
         ms | \
         first invocation at 128 MB, ms | its CPU ms | connections it opens \
          |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let answered = |row: &Row| row.answered.median();
        let _ = writeln!(
            text,
            "| {} ({}) | {} | {:.2} | {} | {} | {} | {:.2} | {} | {:.2} | {:.0} |",
            row.name,
            row.description,
            row.size.as_ref().map_or("–".to_owned(), sizes),
            row.ready.median(),
            row.answered.spread(),
            times(answered(row), rows, HELLO, answered),
            times(answered(row), rows, FLOOR, answered),
            row.cold_cpu.median(),
            row.first.spread(),
            row.first_cpu.median(),
            row.connections.median(),
        );
    }
    text
}

fn warm(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | warm p50 ms | p99 ms | p50 without DynamoDB, ms | × hello | × floor | CPU µs an \
         invocation | × hello | \
         × floor | most memory, MB |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let without_dynamodb = |row: &Row| row.without_dynamodb.median();
        let cpu = |row: &Row| row.cpu.median();
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.2} | {} | {} | **{:.0}** | {} | {} | {:.1} |",
            row.name,
            row.p50.spread(),
            row.p99.median(),
            without_dynamodb(row),
            times(without_dynamodb(row), rows, HELLO, without_dynamodb),
            times(without_dynamodb(row), rows, FLOOR, without_dynamodb),
            cpu(row),
            times(cpu(row), rows, HELLO, cpu),
            times(cpu(row), rows, FLOOR, cpu),
            row.memory.median(),
        );
    }
    text
}

fn sizes(size: &Size) -> String {
    format!(
        "{:.2} · {:.2}",
        megabytes(size.file as u64),
        megabytes(size.zip as u64)
    )
}

/// The figures of `row` against its targets.
fn aims(row: &Row, rows: &[Row]) -> String {
    let mut text = format!("| {} | measured | aim | |\n|---|---|---|---|\n", row.name);
    let mut most =
        |what: &str, value: f64, aim: f64, unit: &str| line(&mut text, what, value, '≤', aim, unit);
    if let Some(size) = &row.size {
        most("size", megabytes(size.file as u64), 6.0, " MB");
        most("size, zipped", megabytes(size.zip as u64), 3.0, " MB");
    }
    let answered = row.answered.median();
    if let Some(floor) = find(rows, FLOOR) {
        most(
            "exec → first answer, against the floor",
            answered / floor.answered.median(),
            1.25,
            " ×",
        );
    }
    most("first invocation at 128 MB", row.first.median(), 5.0, " ms");
    most(
        "warm, without DynamoDB, p50",
        row.without_dynamodb.median(),
        0.6,
        " ms",
    );
    most("CPU of an invocation", row.cpu.median(), 400.0, " µs");
    most("most memory", row.memory.median(), 12.0, " MB");
    if let Some(python) = find(rows, PYTHON) {
        line(
            &mut text,
            "exec → first answer, faster than Python by",
            python.answered.median() / answered,
            '≥',
            50.0,
            " ×",
        );
    }
    text
}

fn line(text: &mut String, what: &str, value: f64, sign: char, aim: f64, unit: &str) {
    let reached = if sign == '≤' {
        value <= aim
    } else {
        value >= aim
    };
    let reached = if reached { "reached" } else { "**missed**" };
    let digits = if value < 100.0 { 2 } else { 0 };
    let _ = writeln!(
        text,
        "| {what} | {value:.digits$}{unit} | {sign} {aim}{unit} | {reached} |"
    );
}
