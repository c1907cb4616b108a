//! What a store keeps in memory: the footers of its files, and columns of their row groups,
//! with the rows that are not deleted.

mod chunks;
mod footers;

pub(super) use chunks::{ChunkCache, ChunkKey, LIVE_ROWS};
pub(super) use footers::FooterCache;

#[cfg(test)]
mod tests;
