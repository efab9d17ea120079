//! How long a reply of a Redis server is, as it comes in: RESP, <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

/// The most bytes of one reply. The longest of keyfob's own, a hundred ids in a message, has 2.4 KiB.
const LONGEST_REPLY: usize = 64 * 1024;

/// Follows a stream of replies, and tells when one is too long.
///
/// ```text
///          a line `*2`, `:7`, `+OK`…              `$5`, `=5`, `!5`
/// Line ──────────────────────────────► Line     Line ───────────► Bulk ── 5 bytes, CR LF ──► Line
/// ```
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    /// How many bytes of this reply have come.
    length: usize,
    /// How many parts of it have not begun yet.
    parts: u64,
}

#[derive(Debug)]
enum State {
    Line { kind: Option<u8>, number: Number, is_ending: bool },
    Bulk { left: usize },
}

/// The number that a line says, or that it says none.
#[derive(Clone, Copy, Debug)]
enum Number {
    None,
    Some(u64),
    Minus,
    Minus1,
    Not,
}

/// A reply that is too long, or none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent a reply of more than 64 KiB, or none that can be read")]
pub(super) struct TooLong;

impl Frames {
    pub(super) fn new() -> Self {
        Self { state: LINE, length: 0, parts: 1 }
    }

    /// Takes what comes next.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> Result<(), TooLong> {
        while let [byte, rest @ ..] = bytes {
            match &mut self.state {
                State::Bulk { left } => {
                    let taken = bytes.len().min(*left);
                    *left -= taken;
                    let is_over = *left == 0;
                    bytes = &bytes[taken..];
                    self.lengthen(taken)?;
                    if is_over {
                        self.end_part(0);
                    }
                }
                State::Line { kind, number, is_ending } => {
                    let ended = *is_ending && *byte == b'\n';
                    *is_ending = *byte == b'\r';
                    if kind.is_none() {
                        *kind = Some(*byte);
                    } else if !ended && !*is_ending {
                        *number = number.followed_by(*byte);
                    }
                    let line = ended.then_some((*kind, *number));
                    bytes = rest;
                    self.lengthen(1)?;
                    if let Some((kind, number)) = line {
                        self.end_line(kind, number)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn lengthen(&mut self, by: usize) -> Result<(), TooLong> {
        self.length += by;
        if self.length > LONGEST_REPLY { Err(TooLong) } else { Ok(()) }
    }

    fn end_line(&mut self, kind: Option<u8>, number: Number) -> Result<(), TooLong> {
        let count = match (kind, number) {
            // A string or a list that is absent has the length -1.
            (Some(b'$' | b'*'), Number::Minus1) => {
                self.end_part(0);
                return Ok(());
            }
            (Some(b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|'), Number::Some(count)) => {
                count
            }
            // The driver takes more for a length than this does.
            (Some(b'$' | b'=' | b'!' | b'*' | b'~' | b'>' | b'%' | b'|'), _) => {
                return Err(TooLong);
            }
            _ => 0,
        };
        match kind {
            // Bulk string, verbatim string, bulk error.
            Some(b'$' | b'=' | b'!') => {
                let left = usize::try_from(count).map_err(|_| TooLong)?.saturating_add(2);
                if left > LONGEST_REPLY {
                    return Err(TooLong);
                }
                self.state = State::Bulk { left };
            }
            // Array, set, push.
            Some(b'*' | b'~' | b'>') => self.end_part(count),
            // Map; attributes stand before the part that they are of.
            Some(b'%') => self.end_part(count.saturating_mul(2)),
            Some(b'|') => self.end_part(count.saturating_mul(2).saturating_add(1)),
            _ => self.end_part(0),
        }
        Ok(())
    }

    fn end_part(&mut self, inner: u64) {
        self.state = LINE;
        self.parts = self.parts.saturating_sub(1).saturating_add(inner);
        if self.parts == 0 {
            *self = Self::new();
        }
    }
}

const LINE: State = State::Line { kind: None, number: Number::None, is_ending: false };

impl Number {
    fn followed_by(self, byte: u8) -> Self {
        let before = match (self, byte) {
            (Self::None, b'-') => return Self::Minus,
            (Self::Minus, b'1') => return Self::Minus1,
            (Self::None, _) => 0,
            (Self::Some(number), _) => number,
            (Self::Minus | Self::Minus1 | Self::Not, _) => return Self::Not,
        };
        match byte {
            b'0'..=b'9' => {
                Self::Some(before.saturating_mul(10).saturating_add((byte - b'0').into()))
            }
            _ => Self::Not,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Follows what comes in pieces of a size.
    fn follow(bytes: &[u8], size: usize) -> Result<usize, TooLong> {
        let mut frames = Frames::new();
        bytes.chunks(size).try_for_each(|piece| frames.follow(piece))?;
        Ok(frames.length)
    }

    #[test]
    fn a_reply_ends_where_the_protocol_says_so() {
        let replies: [&[u8]; 12] = [
            b"+OK\r\n",
            b"-ERR no\r\n",
            b":7\r\n",
            b"$5\r\nhel\r\n\r\n",
            b"$0\r\n\r\n",
            b"$-1\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*2\r\n*2\r\n:1\r\n$1\r\na\r\n+b\r\n",
            b"%1\r\n+key\r\n:1\r\n",
            b"|1\r\n+ttl\r\n:1\r\n:2\r\n",
            b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$3\r\n0Kz\r\n",
        ];
        for size in 1..8 {
            for reply in replies {
                assert_eq!(follow(reply, size), Ok(0), "{}", reply.escape_ascii());
                let open = follow(&reply[..reply.len() - 1], size).unwrap();
                assert_eq!(open, reply.len() - 1, "{}", reply.escape_ascii());
            }
            assert_eq!(follow(&replies.concat(), size), Ok(0));
            assert_eq!(follow(&replies.concat().repeat(5_000), 1_000 + size), Ok(0));
        }
    }

    #[test]
    fn a_reply_that_is_too_long_is_found_out_before_it_is_there() {
        let room = LONGEST_REPLY - b"$12345\r\n\r\n".len();
        let bulk = |length: usize| {
            [format!("${length}\r\n").as_bytes(), &vec![b'x'; length], b"\r\n"].concat()
        };
        assert_eq!(follow(&bulk(room), 999), Ok(0));
        assert_eq!(follow(&bulk(room + 1), 999), Err(TooLong));
        assert_eq!(follow(b"$536870912\r\n", 999), Err(TooLong));
        assert_eq!(follow(b"$99999999999999999999999\r\n", 999), Err(TooLong));
        for odd in ["$+7", "$ 7", "$7 ", "*+7", "=-1", "!-1", "$-2", "$-", "$-12", "*?", "$", "%-1"]
        {
            assert_eq!(follow(format!("{odd}\r\n").as_bytes(), 999), Err(TooLong), "{odd}");
        }
        let line = [&vec![b'x'; LONGEST_REPLY + 1][..], b"\r\n"].concat();
        assert_eq!(follow(&line, 999), Err(TooLong));
        let list = [b"*1000000000\r\n", &b":1\r\n".repeat(LONGEST_REPLY / 4)[..]].concat();
        assert_eq!(follow(&list, 999), Err(TooLong));
        assert_eq!(follow(&b"*1\r\n".repeat(LONGEST_REPLY / 4 + 1), 999), Err(TooLong));
    }
}
