//! DynamoDB on loopback, in memory where possible: `dynamodb-emulator [ADDRESS] [--with-parent]`.
//!
//! Prints its address as the first line. With `--with-parent` it exits at the end of its standard
//! input, so that it cannot outlive the tests that started it. For each line `expire` on standard
//! input it removes the expired items and prints their number.

use std::{
    fmt::Display,
    io::{BufRead, Write},
    path::Path,
};

use dynoxide::{Database, server};

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let with_parent = arguments.iter().any(|argument| argument == "--with-parent");
    arguments.retain(|argument| argument != "--with-parent");
    let address = arguments.first().map_or("127.0.0.1:0", String::as_str);

    let database = open();
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .expect("the address is free");
    print_line(listener.local_addr().expect("it is bound"));
    if with_parent {
        let database = database.clone();
        std::thread::spawn(move || run_commands(&database));
    }
    server::serve_on(listener, database).await;
}

/// Opens a database that ends with this process.
///
/// For every write to a table with a stream, the emulator selects the highest sequence number, and
/// without an index it reads the whole stream. An index can be added only through a file.
fn open() -> Database {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.expect("a folder for the database");
    let path = folder.path().join("dynamodb.db");
    let database = Database::new(path.to_str().expect("a path in UTF-8")).expect("a database");
    let index =
        "CREATE INDEX sequence ON _stream_records (table_name, CAST(sequence_number AS INTEGER))";
    rusqlite::Connection::open(&path)
        .and_then(|file| file.execute_batch(index))
        .expect("the stream can be indexed");
    database // the folder is deleted here; the open file stays
}

fn run_commands(database: &Database) {
    for line in std::io::stdin().lock().lines() {
        match line.as_deref() {
            Ok("expire") => {
                print_line(database.sweep_ttl().expect("the database can be swept"));
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    std::process::exit(0);
}

fn print_line(line: impl Display) {
    println!("{line}");
    let _ = std::io::stdout().flush();
}
