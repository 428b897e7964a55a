//! The output of a command: data to standard output, everything else to standard error, and colour
//! only on a terminal that allows it.

use std::{
    ffi::OsStr,
    io::{self, IsTerminal, Write},
    path::Path,
    time::Duration,
};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use super::error::CommandError;
use pillarbox::{
    config::variable,
    telemetry::LinePrinter,
    text::{visible_json, visible_styled},
};

pub(super) const RED: Style = AnsiColor::Red.on_default();
pub(super) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(super) const GREEN: Style = AnsiColor::Green.on_default();
pub(super) const BOLD: Style = Style::new().bold();

/// The two streams of a command; colours are removed for `NO_COLOR`, `TERM=dumb`, or without a
/// terminal.
pub(super) struct CommandOutput {
    data: Box<dyn Write + Send>,
    messages: Box<dyn Write + Send>,
    program: String,
    /// Whether errors are printed as JSON.
    is_json: bool,
}

impl CommandOutput {
    pub(super) fn new() -> Self {
        let is_from_cargo = variable("CARGO_PKG_NAME").is_some_and(|name| name == PACKAGE);
        Self {
            data: Box::new(AutoStream::auto(io::stdout())),
            messages: Box::new(AutoStream::auto(io::stderr())),
            program: program(std::env::args_os().next().as_deref(), is_from_cargo),
            // A command line that cannot be parsed has an error, too.
            is_json: std::env::args_os().any(|argument| argument == "--json"),
        }
    }

    /// The command that starts this program, to print commands for a shell.
    pub(super) fn program(&self) -> String {
        self.program.clone()
    }

    /// From now on, prints messages through `printer`, which does not block on a slow reader.
    pub(super) fn print_messages_with(&mut self, printer: LinePrinter, colour: bool) {
        self.messages = Box::new(PrintedWords {
            printer,
            colour,
            line: Vec::new(),
        });
    }

    /// Prints one line of data. It is escaped here, as every message is, so that text from outside
    /// cannot control the terminal.
    pub(super) fn data(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.data, "{}", visible_styled(line))
    }

    /// Prints data unchanged.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut raw = io::stdout().lock();
        raw.write_all(bytes)?;
        raw.flush()
    }

    /// Prints one line for people.
    pub(super) fn info(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.messages, "{}", visible_styled(line))
    }

    /// Prints a warning.
    pub(super) fn warning(&mut self, what: &str) -> io::Result<()> {
        self.info(&format!("{} {what}", paint("warning:", YELLOW)))
    }

    /// Prints an error with its code: a sentence, or with `--json` one JSON object.
    pub(super) fn error(&mut self, error: &CommandError) -> io::Result<()> {
        let Some((code, why)) = error.printed() else {
            return Ok(());
        };
        if self.is_json {
            let object = serde_json::json!({
                "code": code.to_string(), "error": why, "exit_code": code.exit_code(),
            });
            return writeln!(self.messages, "{}", visible_json(&object.to_string()));
        }
        self.info(&format!("{} {why}", paint(&format!("error[{code}]:"), RED)))
    }

    /// Whether progress may be shown.
    pub(super) fn shows_progress() -> bool {
        io::stderr().is_terminal() && variable("TERM").is_none_or(|term| term != "dumb")
    }

    /// The width of a line of data: that of the terminal, or 80 columns.
    pub(super) fn width(&self) -> usize {
        let terminal = terminal_size::terminal_size_of(io::stdout());
        terminal.map_or(80, |(width, _)| usize::from(width.0))
    }
}

/// A writer that passes whole lines to a [`LinePrinter`].
struct PrintedWords {
    printer: LinePrinter,
    colour: bool,
    line: Vec<u8>,
}

impl Write for PrintedWords {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if self.line.pop_if(|last| *last == b'\n').is_some() {
                let line = String::from_utf8_lossy(&self.line);
                if self.colour {
                    self.printer.print(&line);
                } else {
                    let plain = anstream::adapter::strip_str(&line).to_string();
                    self.printer.print(&plain);
                }
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The package whose programs `cargo run` starts.
const PACKAGE: &str = env!("CARGO_PKG_NAME");

/// The command that started this process, for a shell. A program with a custom destination has no
/// other commands, so for it this is the installed `pillarbox`.
fn program(typed: Option<&OsStr>, is_from_cargo: bool) -> String {
    if is_from_cargo {
        return "cargo run -q --".to_owned();
    }
    let typed = typed.map(Path::new).filter(is_pillarbox);
    let typed = typed.and_then(Path::to_str);
    shell_word(typed.unwrap_or("pillarbox"))
}

fn is_pillarbox(program: &&Path) -> bool {
    let name = program.file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| name.starts_with("pillarbox"))
}

/// One word for a shell, quoted if necessary.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// `text` in a style. The stream removes the style if it is not shown.
pub(super) fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// A time in milliseconds, with one decimal.
pub(super) fn millis(took: Duration) -> String {
    let us = took.as_micros();
    format!("{}.{}", us / 1000, us / 100 % 10)
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        fs,
        os::unix::fs::PermissionsExt,
        process::{Command, Stdio},
        sync::{Arc, Mutex},
    };

    use super::*;

    /// What a command printed to both streams, without colours.
    #[derive(Clone, Default)]
    pub(in crate::commands) struct CapturedOutput(Arc<Mutex<Vec<u8>>>);

    impl CapturedOutput {
        pub(in crate::commands) fn text(&self) -> String {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            anstream::adapter::strip_str(&text).to_string()
        }
    }

    impl Write for CapturedOutput {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl CommandOutput {
        /// An output of the program `pillarbox`, and what it prints.
        pub(in crate::commands) fn captured() -> (Self, CapturedOutput) {
            let captured = CapturedOutput::default();
            let output = Self {
                data: Box::new(captured.clone()),
                messages: Box::new(captured.clone()),
                program: "pillarbox".to_owned(),
                is_json: false,
            };
            (output, captured)
        }
    }

    /// Runs printed commands in a shell whose `pillarbox` only records its arguments. Returns those
    /// of each call, one per line.
    pub(in crate::commands) fn run_in_shell(commands: &str, folder: &Path) -> Vec<String> {
        let (bin, record) = (folder.join("bin"), folder.join("record"));
        fs::create_dir_all(&bin).unwrap();
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" '' >> {}\n",
            record.display()
        );
        let program = bin.join("pillarbox");
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(&record, "").unwrap();
        let path = format!("{}:{}", bin.display(), variable("PATH").unwrap_or_default());
        let mut shell = Command::new("sh")
            .env("PATH", path)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        shell
            .stdin
            .take()
            .unwrap()
            .write_all(commands.as_bytes())
            .unwrap();
        assert!(shell.wait().unwrap().success(), "{commands}");
        let record = fs::read_to_string(record).unwrap();
        let calls = record.split("\n\n").filter(|call| !call.is_empty());
        calls.map(str::to_owned).collect()
    }

    #[test]
    fn nothing_that_is_printed_steers_the_display() {
        let (mut output, printed) = CommandOutput::captured();
        let hostile = "a\u{202e}b\u{9b}c\u{2028}";
        output.data(hostile).unwrap();
        output.info(hostile).unwrap();
        output.warning(hostile).unwrap();
        output
            .error(&CommandError::Failed(hostile.to_owned()))
            .unwrap();
        assert!(printed.text().is_ascii(), "{}", printed.text());
    }

    #[test]
    fn a_printed_command_begins_with_the_program_as_typed() {
        for (typed, is_from_cargo, expected) in [
            (Some("pillarbox"), false, "pillarbox"),
            (Some("./pillarbox"), false, "./pillarbox"),
            (Some("./pillarbox-0.1"), false, "./pillarbox-0.1"),
            (
                Some("/opt/pillarbox/bin/pillarbox"),
                false,
                "/opt/pillarbox/bin/pillarbox",
            ),
            (Some("/opt/a b/pillarbox"), false, "'/opt/a b/pillarbox'"),
            (Some("/it's/pillarbox"), false, r"'/it'\''s/pillarbox'"),
            (Some("target/debug/pillarbox"), true, "cargo run -q --"),
            (
                Some("target/debug/examples/own_destination"),
                false,
                "pillarbox",
            ),
            (
                Some("target/debug/examples/own_destination"),
                true,
                "cargo run -q --",
            ),
            (None, false, "pillarbox"),
        ] {
            let typed = typed.map(OsStr::new);
            assert_eq!(
                program(typed, is_from_cargo),
                expected,
                "{typed:?} {is_from_cargo}"
            );
        }
    }
}
