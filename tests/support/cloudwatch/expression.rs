//! Metric math: the operators and functions that the alarms of the template can use.
//!
//! A value has a number for each period of the evaluation range, oldest first, or `None` where the
//! number is missing. An operator needs both operands.

use std::collections::BTreeMap;

/// One number a period.
pub(super) type PeriodValues = Vec<Option<f64>>;

/// An expression over metrics, which it names by their ids.
#[derive(Clone, Debug, PartialEq)]
pub enum MathExpression {
    Number(f64),
    Metric(String),
    Negated(Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    /// A function of this name.
    Call(String, Vec<Self>),
}

/// Operators by precedence, lowest first.
const OPERATORS: [&[(&str, &str)]; 5] = [
    &[("||", "||"), ("OR", "||")],
    &[("&&", "&&"), ("AND", "&&")],
    &[
        ("==", "=="),
        ("!=", "!="),
        ("<=", "<="),
        (">=", ">="),
        ("<", "<"),
        (">", ">"),
    ],
    &[("+", "+"), ("-", "-")],
    &[("*", "*"), ("/", "/")],
];

impl MathExpression {
    /// # Panics
    /// If the text is not an expression, or uses a function that is missing here.
    pub fn parse(text: &str) -> Self {
        let mut tokens = tokens(text);
        tokens.reverse();
        let mut parser = ExpressionParser { text, tokens };
        let expression = parser.binary(0);
        assert!(
            parser.tokens.is_empty(),
            "{text}: the expression ends before its text"
        );
        expression
    }

    /// The ids of the metrics and expressions that it names.
    pub fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match self {
            Self::Number(_) => Box::new(std::iter::empty()),
            Self::Metric(id) => Box::new(std::iter::once(id.as_str())),
            Self::Negated(operand) => operand.names(),
            Self::Binary(_, left, right) => Box::new(left.names().chain(right.names())),
            Self::Call(_, arguments) => Box::new(arguments.iter().flat_map(Self::names)),
        }
    }

    /// Its values, from the values of the metrics and expressions that it names.
    pub fn evaluate(&self, known: &BTreeMap<String, PeriodValues>, periods: usize) -> PeriodValues {
        let values_of = |expression: &Self| expression.evaluate(known, periods);
        match self {
            Self::Number(number) => vec![Some(*number); periods],
            Self::Metric(id) => {
                let values = known.get(id);
                values
                    .unwrap_or_else(|| panic!("unknown metric {id}"))
                    .clone()
            }
            Self::Negated(operand) => values_of(operand)
                .into_iter()
                .map(|value| Some(-value?))
                .collect(),
            Self::Binary(operator, left, right) => {
                let both = values_of(left).into_iter().zip(values_of(right));
                both.map(|(left, right)| binary(operator, left?, right?))
                    .collect()
            }
            Self::Call(name, arguments) => {
                let arguments: Vec<PeriodValues> = arguments.iter().map(values_of).collect();
                call(name, &arguments, periods)
            }
        }
    }
}

fn binary(operator: &str, left: f64, right: f64) -> Option<f64> {
    let truth = |holds: bool| Some(f64::from(u8::from(holds)));
    match operator {
        "+" => Some(left + right),
        "-" => Some(left - right),
        "*" => Some(left * right),
        "/" => (right != 0.0).then(|| left / right),
        "==" => truth(left == right),
        "!=" => truth(left != right),
        "<" => truth(left < right),
        "<=" => truth(left <= right),
        ">" => truth(left > right),
        ">=" => truth(left >= right),
        "&&" => truth(left != 0.0 && right != 0.0),
        "||" => truth(left != 0.0 || right != 0.0),
        _ => unreachable!("{operator}"),
    }
}

fn call(name: &str, arguments: &[PeriodValues], periods: usize) -> PeriodValues {
    let each = 0..periods;
    match (name, arguments) {
        ("IF", [condition, then]) => each
            .map(|n| then[n].filter(|_| condition[n].is_some_and(|value| value != 0.0)))
            .collect(),
        ("IF", [condition, then, otherwise]) => each
            .map(|n| {
                let holds = condition[n]? != 0.0;
                if holds { then[n] } else { otherwise[n] }
            })
            .collect(),
        ("FILL", [values, filling]) => each.map(|n| values[n].or(filling[n])).collect(),
        ("SUM", [_, ..]) => each.map(|n| fold(arguments, n, |a, b| a + b)).collect(),
        ("MAX", [_, ..]) => each.map(|n| fold(arguments, n, f64::max)).collect(),
        ("MIN", [_, ..]) => each.map(|n| fold(arguments, n, f64::min)).collect(),
        ("ABS", [values]) => each.map(|n| Some(values[n]?.abs())).collect(),
        _ => panic!("unknown function {name} of {}", arguments.len()),
    }
}

fn fold(arguments: &[PeriodValues], period: usize, with: fn(f64, f64) -> f64) -> Option<f64> {
    let mut values = arguments.iter().filter_map(|values| values[period]);
    let first = values.next()?;
    Some(values.fold(first, with))
}

struct ExpressionParser<'a> {
    text: &'a str,
    /// The next one last.
    tokens: Vec<&'a str>,
}

impl<'a> ExpressionParser<'a> {
    fn binary(&mut self, level: usize) -> MathExpression {
        let Some(operators) = OPERATORS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1);
        while let Some(operator) = self.next_of(operators) {
            let right = self.binary(level + 1);
            left = MathExpression::Binary(operator, Box::new(left), Box::new(right));
        }
        left
    }

    fn next_of(&mut self, operators: &[(&str, &'static str)]) -> Option<&'static str> {
        let next = self.tokens.last()?;
        let (_, operator) = operators.iter().find(|(spelling, _)| spelling == next)?;
        self.tokens.pop();
        Some(operator)
    }

    fn unary(&mut self) -> MathExpression {
        let token = self.next();
        match token {
            "-" => MathExpression::Negated(Box::new(self.unary())),
            "(" => {
                let inner = self.binary(0);
                self.expect(")");
                inner
            }
            digits if digits.starts_with(|first: char| first.is_ascii_digit()) => {
                let number = digits.parse();
                MathExpression::Number(
                    number.unwrap_or_else(|_| panic!("{digits}: invalid number")),
                )
            }
            function if self.tokens.last() == Some(&"(") => {
                self.tokens.pop();
                // SUM, MAX and MIN take an array, and no other function does.
                let is_array = self.tokens.last() == Some(&"[");
                if is_array {
                    self.tokens.pop();
                }
                let mut arguments = vec![self.binary(0)];
                while self.tokens.last() == Some(&",") {
                    self.tokens.pop();
                    arguments.push(self.binary(0));
                }
                if is_array {
                    self.expect("]");
                }
                self.expect(")");
                let is_of_array = ["SUM", "MAX", "MIN"].contains(&function);
                assert_eq!(is_array, is_of_array, "{}: {function}", self.text);
                MathExpression::Call(function.to_owned(), arguments)
            }
            // CloudWatch refuses an id that begins with anything else.
            id if id.starts_with(|first: char| first.is_ascii_lowercase()) => {
                MathExpression::Metric(id.to_owned())
            }
            other => panic!("{}: unexpected {other}", self.text),
        }
    }

    fn next(&mut self) -> &'a str {
        let token = self.tokens.pop();
        token.unwrap_or_else(|| panic!("{} is incomplete", self.text))
    }

    fn expect(&mut self, wanted: &str) {
        let found = self.tokens.pop();
        assert_eq!(found, Some(wanted), "{}", self.text);
    }
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |letter: char| letter.is_ascii_alphanumeric() || "_.".contains(letter);
        let two = rest.get(..2).unwrap_or_default();
        let length = if is_word(first) {
            rest.find(|letter| !is_word(letter)).unwrap_or(rest.len())
        } else if ["==", "!=", "<=", ">=", "&&", "||"].contains(&two) {
            2
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}
