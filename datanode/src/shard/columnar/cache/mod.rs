//! What a store keeps in memory: the footers of its files, and columns of their row groups.

mod chunks;
mod footers;

pub(super) use chunks::{ChunkCache, ChunkKey};
pub(super) use footers::FooterCache;

#[cfg(test)]
mod tests;
