//! Patterns of LIKE.

/// The part of the strings that has one more fixed character (PostgreSQL's FIXED_CHAR_SEL, like_support.c).
const FIXED: f64 = 0.20;
/// What `_` leaves (ANY_CHAR_SEL).
const ANY: f64 = 0.9;
/// What `%` gives back (FULL_WILDCARD_SEL).
const MANY: f64 = 5.0;

/// `abc%`, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cardinality) struct Pattern {
    pieces: Vec<Piece>,
    ignores_case: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Piece {
    Char(char),
    /// `_`
    Any,
    /// `%`
    Many,
}

impl Pattern {
    /// Of LIKE's text; a backslash escapes.
    pub(in crate::cardinality) fn new(text: &str, ignores_case: bool) -> Self {
        let mut pieces = Vec::new();
        let mut chars = text.chars();
        while let Some(char) = chars.next() {
            let piece = match char {
                '%' => Piece::Many,
                '_' => Piece::Any,
                '\\' => Piece::Char(chars.next().unwrap_or('\\')),
                other => Piece::Char(other),
            };
            if piece == Piece::Many && pieces.last() == Some(&Piece::Many) {
                continue;
            }
            let fold = |piece| match piece {
                Piece::Char(char) if ignores_case => Piece::Char(folded(char)),
                other => other,
            };
            pieces.push(fold(piece));
        }
        Self { pieces, ignores_case }
    }

    /// Does it match a text? After a failure behind a `%`, that takes one character more.
    pub(in crate::cardinality) fn matches(&self, text: &str) -> bool {
        let fold = |char| if self.ignores_case { folded(char) } else { char };
        let chars: Vec<char> = text.chars().map(fold).collect();
        let (mut at, mut piece) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < chars.len() {
            match self.pieces.get(piece) {
                Some(Piece::Many) => {
                    retry = Some((at, piece));
                    piece += 1;
                    continue;
                }
                Some(Piece::Any) => {
                    (at, piece) = (at + 1, piece + 1);
                    continue;
                }
                Some(Piece::Char(char)) if *char == chars[at] => {
                    (at, piece) = (at + 1, piece + 1);
                    continue;
                }
                _ => {}
            }
            let Some((from, many)) = retry else { return false };
            retry = Some((from + 1, many));
            (at, piece) = (from + 1, many + 1);
        }
        self.pieces[piece..].iter().all(|piece| *piece == Piece::Many)
    }

    /// What all strings that match begin with; empty where case is ignored.
    pub(in crate::cardinality) fn prefix(&self) -> String {
        if self.ignores_case {
            return String::new();
        }
        let chars = self.pieces.iter().map_while(|piece| match piece {
            Piece::Char(char) => Some(*char),
            Piece::Any | Piece::Many => None,
        });
        chars.collect()
    }

    /// Is there nothing but the prefix?
    pub(in crate::cardinality) fn is_exact(&self) -> bool {
        !self.ignores_case && self.pieces.iter().all(|piece| matches!(piece, Piece::Char(_)))
    }

    /// The part of the strings with its prefix that matches the rest, by its form alone (PostgreSQL's
    /// `like_selectivity`, like_support.c).
    pub(in crate::cardinality) fn rest_selectivity(&self) -> f64 {
        let fixed = self.prefix().chars().count();
        let rest = self.pieces[fixed..].iter();
        let rest = rest.skip_while(|piece| **piece == Piece::Many);
        let product = rest.fold(1.0, |product, piece| match piece {
            Piece::Char(_) => product * FIXED,
            Piece::Any => product * ANY,
            Piece::Many => product * MANY,
        });
        f64::min(product, 1.0)
    }
}

fn folded(char: char) -> char {
    char.to_lowercase().next().unwrap_or(char)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_like_does() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("abc%", "abcd", true),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("%b%b%", "abc", false),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("%ab%abc", "ab ab abc", true),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("%", "", true),
            ("", "", true),
            ("_", "", false),
            ("é_", "éa", true),
        ] {
            assert_eq!(Pattern::new(pattern, false).matches(text), expected, "{pattern} {text}");
        }
        assert!(Pattern::new("aB%", true).matches("AbC"));
    }

    #[test]
    fn prefixes_end_at_wildcards() {
        assert_eq!(Pattern::new("ab%c", false).prefix(), "ab");
        assert_eq!(Pattern::new("a\\_b_", false).prefix(), "a_b");
        assert_eq!(Pattern::new("ab", true).prefix(), "");
        assert!(Pattern::new("ab", false).is_exact());
        assert_eq!(Pattern::new("ab%", false).rest_selectivity(), 1.0);
        assert!((Pattern::new("%ab", false).rest_selectivity() - 0.04).abs() < 1e-9);
    }
}
