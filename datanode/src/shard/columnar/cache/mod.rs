//! What a store keeps in memory: the footers of its files.

mod footers;

pub(super) use footers::FooterCache;
