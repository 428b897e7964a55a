//! The numbers of docs/limits.md, held against the constants, and the tests that it names.

use std::fs;

use test_support::repository;

/// One row: the limit as it is written, the file and the name of its constant, and its test.
struct LimitRow {
    limit: String,
    file: String,
    constant: String,
    test: String,
}

fn rows() -> Vec<LimitRow> {
    let page = fs::read_to_string(repository("docs/limits.md")).unwrap();
    let cells = page.lines().map(|line| line.split('|').map(str::trim));
    let rows = cells.map(Iterator::collect::<Vec<_>>);
    let rows = rows.filter(|row| row.len() == 7 && row[4].contains(".rs`"));
    rows.map(|row| {
        let mut named = row[4].split('`').filter(|part| !part.trim().is_empty());
        LimitRow {
            limit: row[2].to_owned(),
            file: named.next().unwrap().to_owned(),
            constant: named.next().unwrap().to_owned(),
            test: row[5].trim_matches('`').to_owned(),
        }
    })
    .collect()
}

/// The number that a constant's source stands for.
fn number(source: &str) -> u64 {
    let factors = source.split('*');
    let factors = factors.map(|factor| factor.trim().replace('_', "").parse::<u64>().unwrap());
    factors.product()
}

/// A constant's source as the page writes it.
fn written(source: &str) -> String {
    let inside = |name: &str| {
        let inside = source.strip_prefix(name)?.strip_suffix(')')?;
        Some(number(inside))
    };
    if let Some(seconds) = inside("Duration::from_secs(") {
        return format!("{seconds} s");
    }
    if let Some(millis) = inside("Duration::from_millis(") {
        return match millis {
            0..1000 => format!("{millis} ms"),
            _ => format!("{}.{} s", millis / 1000, millis % 1000 / 100),
        };
    }
    match number(source) {
        mib if mib % (1024 * 1024) == 0 => format!("{} MiB", mib / 1024 / 1024),
        kib if kib % 1024 == 0 && kib > 8192 => format!("{} KiB", kib / 1024),
        thousands if thousands >= 1000 => {
            format!("{},{:03}", thousands / 1000, thousands % 1000)
        }
        few => few.to_string(),
    }
}

fn source_of(row: &LimitRow) -> String {
    let folder = if row.file.starts_with("src/") {
        "."
    } else {
        "crates/pillarbox-cli/src"
    };
    let text = fs::read_to_string(repository(folder).join(&row.file)).unwrap();
    let constant = format!(" {}: ", row.constant);
    let lines = text.lines().filter(|line| line.contains(&constant));
    let values = lines.filter_map(|line| line.split_once(" = ").or(line.split_once(": ")));
    let values = values.map(|(_, value)| value.trim_end_matches([';', ',']));
    let mut values = values.filter(|value| !value.starts_with(char::is_lowercase));
    let value = values.next();
    value
        .unwrap_or_else(|| panic!("{} has no {}", row.file, row.constant))
        .to_owned()
}

#[test]
fn every_number_of_the_page_is_the_constants() {
    let rows = rows();
    assert!(rows.len() >= 25, "{} rows", rows.len());
    for row in &rows {
        let written = written(&source_of(row));
        let begins = row.limit.strip_prefix(&written);
        let is_same = begins.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()));
        assert!(is_same, "{}: {written}, not {}", row.constant, row.limit);
    }
}

#[test]
fn every_test_of_the_page_is_there() {
    let mut sources = String::new();
    for folder in ["src", "crates/pillarbox-cli/src", "tests"] {
        collect(&repository(folder), &mut sources);
    }
    for row in rows() {
        let is_module = sources.contains(&format!("mod {};", row.test));
        let is_test = sources.contains(&format!("fn {}()", row.test));
        assert!(is_module || is_test, "{}", row.test);
    }
}

fn collect(folder: &std::path::Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
