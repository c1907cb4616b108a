//! What a client sees in a session, beyond the rows of its queries.

mod activity;
mod changes;
mod clustering;
mod copy;
mod copy_files;
mod copy_out;
mod cursors;
mod ddl;
mod dispatch;
mod drivers;
mod errors;
mod explain;
mod extended;
mod formats;
mod locks;
mod notices;
mod partitions;
mod psql;
mod redistribution;
mod returning;
mod routing;
mod sequences;
mod temporary;
mod unique;
mod vacuum;
