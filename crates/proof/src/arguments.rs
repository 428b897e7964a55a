//! The arguments of a command: words, and options with a value.

use std::str::FromStr;

/// What the command line holds besides the program's name.
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

    /// The first word that was not taken yet.
    pub(crate) fn next_word(&mut self) -> Option<String> {
        self.words.pop()
    }

    /// All other words, as one line.
    pub(crate) fn line(&self) -> String {
        let words: Vec<&str> = self.words.iter().rev().map(String::as_str).collect();
        words.join(" ")
    }

    /// The text of an option.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter().filter(|(known, _)| known == name);
        options.next_back().map(|(_, value)| value.as_str())
    }

    /// The number of an option, or another if it was not given.
    pub(crate) fn number<T: FromStr>(&self, name: &str, otherwise: T) -> Result<T, String> {
        match self.text(name) {
            None => Ok(otherwise),
            Some(text) => text
                .parse()
                .map_err(|_| format!("--{name} takes a number, not `{text}`")),
        }
    }

    /// Fails if an option is none of these.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), String> {
        match self
            .options
            .iter()
            .find(|(name, _)| !known.contains(&name.as_str()))
        {
            None => Ok(()),
            Some((name, _)) => Err(format!("unknown option --{name}")),
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
        assert!(arguments.only(&["seed"]).is_err());
        assert!(arguments.only(&["threads"]).is_ok());
    }
}
