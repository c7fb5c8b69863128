//! What is written into the index of words: a list of terms for each entry, with spaces between them.
//!
//! A term is a word of some text, or a value of a [`Field`] whole. No two values have the same term, and no value has
//! that of a word, so that what is found need not be looked at again.

use model::NanoUsd;

use super::{
    facts::Facts,
    field::{Field, Inherited},
};

/// The longest word, in characters; longer ones are cut, here and in questions.
const WORD_MAX: usize = 64;
/// The longest value that is told apart from all others, in bytes. Nobody asks for a longer one.
pub(super) const VALUE_MAX: usize = 256;
/// What stands before the values of the first field: no word has it, since words are in lower case.
const MARK: u32 = 0xc0;
/// What stands before the magnitude of a cost.
const COST: char = '\u{bf}';
/// What an ASCII character becomes that the tokenizer would take for a space, or for another case of a letter.
const SHIFT: u32 = 0x100;
/// What stands before a character that could be taken for one of these.
const ESCAPE: char = '\u{180}';
/// What stands at the end of a value that was too long.
const CUT: char = '\u{181}';

/// What is written for an entry, and what the entries that follow from it take over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Inheritance {
    /// The terms that an outcome takes over.
    pub(in super::super) terms: String,
    /// How many bytes of them are those that what follows from an outcome takes over too.
    pub(in super::super) followed: usize,
}

impl Inheritance {
    /// What entries take over from an intent.
    pub(in super::super) fn of(facts: &Facts<'_>) -> Self {
        let mut inheritance = Self::default();
        for by in [Inherited::All, Inherited::Outcomes] {
            let values = facts.values.iter().filter(|(field, _)| field.inherited() == by);
            values.for_each(|(field, value)| add_value(&mut inheritance.terms, *field, value));
            if by == Inherited::All {
                inheritance.followed = inheritance.terms.len();
            }
        }
        inheritance
    }

    /// What an outcome takes over, or, if it `follows` from one, another entry.
    pub(in super::super) fn terms(&self, follows: bool) -> &str {
        match follows {
            true => self.terms.get(..self.followed).unwrap_or_default(),
            false => &self.terms,
        }
    }
}

/// The terms of an entry.
pub(in super::super) fn terms(facts: &Facts<'_>) -> String {
    let mut terms = String::with_capacity(512);
    for (field, value) in &facts.values {
        add_value(&mut terms, *field, value);
    }
    for text in &facts.texts {
        add_words(&mut terms, text);
    }
    if let Some(cost) = facts.cost {
        terms.push_str(&magnitude(cost));
        terms.push(' ');
    }
    terms
}

/// A value and its words. A word that is the whole value is not written twice: who asks for a word asks for the values
/// that are this word, too.
fn add_value(terms: &mut String, field: Field, value: &str) {
    add_term(terms, field, value);
    terms.push(' ');
    let is_word = value.len() <= WORD_MAX
        && value
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    if !is_word {
        add_words(terms, value);
    }
}

fn add_term(terms: &mut String, field: Field, value: &str) {
    terms.push(mark(field));
    for (at, c) in value.char_indices() {
        if at + c.len_utf8() > VALUE_MAX {
            terms.push(CUT);
            return;
        }
        match c {
            'a'..='z' | '0'..='9' => terms.push(c),
            '\0'..='\x7f' => terms.push(char::from_u32(SHIFT + u32::from(c)).unwrap_or(ESCAPE)),
            _ => {
                terms.push(ESCAPE);
                terms.push(c);
            }
        }
    }
}

fn mark(field: Field) -> char {
    let place = Field::ALL.iter().position(|known| *known == field).unwrap_or_default();
    let place = u32::try_from(place).unwrap_or_default();
    char::from_u32(MARK + place).unwrap_or(ESCAPE)
}

/// The term of a value.
pub(super) fn term(field: Field, value: &str) -> String {
    let mut term = String::new();
    add_term(&mut term, field, value);
    term
}

fn add_words(terms: &mut String, text: &str) {
    let mut length = 0;
    for c in text.chars() {
        if !c.is_alphanumeric() {
            if length > 0 {
                terms.push(' ');
            }
            length = 0;
            continue;
        }
        length += 1;
        if length > WORD_MAX {
            continue;
        }
        match c.is_ascii() {
            true => terms.push(c.to_ascii_lowercase()),
            false => terms.extend(c.to_lowercase()),
        }
    }
    if length > 0 {
        terms.push(' ');
    }
}

/// The words of a text, as they are found: in lower case, without what stands between them.
pub fn words(text: &str) -> Vec<String> {
    let mut words = String::new();
    add_words(&mut words, text);
    words
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The terms that stand for a word: its own, and those of values that are this word.
pub(super) fn terms_of_word(word: &str) -> Vec<String> {
    let values = Field::ALL.iter().map(|field| term(*field, word));
    std::iter::once(word.to_owned()).chain(values).collect()
}

/// The term of the order of magnitude of a cost: how many bits it has. Questions for a range of costs look only at the
/// entries of these orders.
fn magnitude(cost: NanoUsd) -> String {
    format!("{COST}{}", bits(cost))
}

fn bits(cost: NanoUsd) -> u32 {
    64 - u64::try_from(cost.0).unwrap_or_default().leading_zeros()
}

/// The terms of all orders of magnitude between two costs.
pub(super) fn magnitudes(from: NanoUsd, to: NanoUsd) -> Vec<String> {
    (bits(from)..=bits(to)).map(|bits| format!("{COST}{bits}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_have_words() {
        for (text, expected) in [
            ("", &[][..]),
            (" -- ", &[]),
            ("budget_exhausted", &["budget", "exhausted"]),
            ("openai/gpt-4o-Mini", &["openai", "gpt", "4o", "mini"]),
            ("Größe: 12\u{a0}ÄÖ", &["größe", "12", "äö"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
        assert_eq!(words(&"x".repeat(70)), ["x".repeat(64)]);
    }

    #[test]
    fn costs_have_an_order_of_magnitude() {
        let orders = |from, to| magnitudes(NanoUsd(from), NanoUsd(to));
        assert_eq!(orders(0, 0), ["\u{bf}0"]);
        assert_eq!(orders(1, 4), ["\u{bf}1", "\u{bf}2", "\u{bf}3"]);
        assert_eq!(orders(0, i64::MAX).len(), 64);
        assert!(orders(8, 9).contains(&magnitude(NanoUsd(8))));
    }

    /// Terms as SQLite's tokenizer `ascii` sees them.
    fn tokens(text: &str) -> Vec<String> {
        let is_token = |c: char| c.is_ascii_alphanumeric() || !c.is_ascii();
        let tokens = text.split(|c: char| !is_token(c)).filter(|token| !token.is_empty());
        tokens.map(str::to_ascii_lowercase).collect()
    }

    proptest! {
        #[test]
        fn a_value_is_one_term_and_its_own(
            values in prop::collection::hash_set((0..Field::ALL.len(), "[a-zA-Z0-9 ._/:\\-\u{0}À-ƅİß\u{3000}]{1,12}"), 1..40),
        ) {
            let mut found = HashMap::new();
            for (field, value) in values {
                let tokens = tokens(&term(Field::ALL[field], &value));
                prop_assert_eq!(tokens.len(), 1);
                for word in words(&value) {
                    prop_assert!(word != tokens[0], "{} is a word", word);
                }
                let before = found.insert(tokens[0].clone(), (field, value.clone()));
                prop_assert!(before.is_none(), "{:?} and {:?}", before, value);
            }
        }
    }
}
