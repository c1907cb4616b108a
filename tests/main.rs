//! Integration tests of the whole: one test binary.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod advice;
#[cfg(test)]
mod backup;
#[cfg(test)]
mod check;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod command;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod differential;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod generate;
#[cfg(test)]
mod isolation;
#[cfg(test)]
mod kes_copy;
#[cfg(test)]
mod leaks;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod security;
#[cfg(test)]
mod session;
#[cfg(test)]
mod shard_sql;
#[cfg(test)]
mod shards;
#[cfg(test)]
mod slt;
#[cfg(test)]
mod support;
mod tidy;
#[cfg(test)]
mod tpch;
