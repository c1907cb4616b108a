//! A datanode: runs fragments beside one shard; owns the shard stores.
