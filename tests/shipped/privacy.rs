//! Only what docs/privacy.md lists is stored.

use std::collections::BTreeSet;

use rusqlite::Connection;
use test_support::process::{BOTH_SOURCES, ProgramFolder};

const PAGE: &str = include_str!("../../docs/privacy.md");

/// The names in the cells of the table that lists every stored one, as `table` and its columns.
fn documented() -> BTreeSet<(String, String)> {
    let (_, section) = PAGE.split_once("## Every stored name").unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
        let table = names.next().unwrap();
        names.map(move |column| (table.clone(), column))
    })
    .collect()
}

#[test]
fn every_column_of_a_local_file_is_in_the_page_about_privacy() {
    let folder = ProgramFolder::with(BOTH_SOURCES);
    assert_eq!(folder.run(&["inbox", "init"]).code, 0);
    let file = Connection::open(folder.path().join("pillarbox.db")).unwrap();
    let columns = "SELECT tables.name, columns.name FROM sqlite_master AS tables, \
                   pragma_table_info(tables.name) AS columns WHERE tables.type = 'table' AND \
                   tables.name NOT LIKE 'sqlite_%'";
    let mut statement = file.prepare(columns).unwrap();
    let stored: BTreeSet<(String, String)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(documented(), stored);
}

#[test]
fn every_kind_of_item_of_a_table_is_in_the_page_about_privacy() {
    let names = include_str!("../../src/inbox/dynamodb/names.rs");
    let prefixes = names
        .split('"')
        .filter(|text| text.starts_with('~') && text.ends_with(':'));
    let prefixes: Vec<_> = prefixes.collect();
    assert!(prefixes.len() >= 5, "{prefixes:?}");
    for prefix in prefixes {
        assert!(PAGE.contains(&format!("`{prefix}`")), "{prefix}");
    }
}
