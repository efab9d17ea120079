use super::SharedRecord;

/// What a store knows of a token without asking anyone.
#[derive(Clone, Debug)]
pub enum Peek {
    /// This is the token.
    Found(SharedRecord),
    /// This was the token, no longer ago than is allowed. It is good enough to let somebody in; where it is refused and
    /// a later secret would not be, it has to be asked for.
    Cached(SharedRecord),
    /// There is no such token.
    Absent,
    /// It has to be asked for with [`TokenStore::find`](crate::store::TokenStore::find).
    Miss,
}
