//! Parses the arguments of a command: words, and options with a value.

use std::str::FromStr;

/// The command line without the program's name.
pub(crate) struct CommandArguments {
    words: Vec<String>,
    options: Vec<(String, String)>,
}

impl CommandArguments {
    pub(crate) fn of_process() -> Self {
        Self::read(std::env::args().skip(1))
    }

    fn read(mut arguments: impl Iterator<Item = String>) -> Self {
        let (mut words, mut options) = (Vec::new(), Vec::new());
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix("--") {
                Some(name) => options.push((name.to_owned(), arguments.next().unwrap_or_default())),
                None => words.push(argument),
            }
        }
        words.reverse();
        Self { words, options }
    }

    /// Takes the next word.
    pub(crate) fn next_word(&mut self) -> Option<String> {
        self.words.pop()
    }

    /// All remaining words in one line.
    pub(crate) fn line(&self) -> String {
        let words: Vec<&str> = self.words.iter().rev().map(String::as_str).collect();
        words.join(" ")
    }

    /// The value of an option; the last one if it occurs several times.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter().filter(|(known, _)| known == name);
        options.next_back().map(|(_, value)| value.as_str())
    }

    /// The value of an option as a number, or `default` if the option is absent.
    pub(crate) fn number<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("--{name} takes a number, not `{text}`")),
        }
    }

    /// Fails if there is an option other than these.
    pub(crate) fn require_known(&self, known: &[&str]) -> Result<(), String> {
        let mut names = self.options.iter().map(|(name, _)| name.as_str());
        match names.find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) => Err(format!("unknown option --{name}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_have_values_and_words_keep_their_order() {
        let line = ["replay", "seed=1", "--threads", "2", "pay=3"].map(str::to_owned);
        let mut arguments = CommandArguments::read(line.into_iter());
        assert_eq!(arguments.next_word().as_deref(), Some("replay"));
        assert_eq!(arguments.line(), "seed=1 pay=3");
        assert_eq!(arguments.number("threads", 1), Ok(2));
        assert_eq!(arguments.number("seed", 7), Ok(7));
        assert!(arguments.require_known(&["seed"]).is_err());
        assert!(arguments.require_known(&["threads"]).is_ok());
    }
}
