//! Whether a fragment may run here. Pure.

use kestrel_proto::{
    DatanodeId, ENGINE_VERSION, ErrorReport, MotionId, QueryId, Result, SliceId, SqlState,
    message::Fragment,
};

/// What a fragment must fit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Here {
    pub(super) datanode: DatanodeId,
    /// The newest coordinator's that was ever seen.
    pub(super) newest_epoch: u64,
    pub(super) function_fingerprint: u64,
}

/// What a fragment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FragmentId {
    pub(super) query: QueryId,
    pub(super) slice: SliceId,
}

impl FragmentId {
    /// The motion the fragment sends: a slice and its motion have one number.
    pub(super) fn motion(self) -> MotionId {
        MotionId(self.slice.0)
    }
}

/// Names the fragment, or tells why it may not run here.
///
/// # Errors
/// 55000 for a stale coordinator, and for one of another engine or with other functions; XX000 for
/// what no coordinator may send.
pub(super) fn check(fragment: &Fragment, here: &Here) -> Result<FragmentId> {
    check_epoch(fragment.coordinator_epoch, here.newest_epoch)?;
    if fragment.engine_version != ENGINE_VERSION {
        let theirs = &fragment.engine_version;
        return Err(refused(
            format!("the coordinator is \"{theirs}\" and the datanode \"{ENGINE_VERSION}\""),
            "Install one version of Kestrel everywhere.",
        ));
    }
    if fragment.function_fingerprint != here.function_fingerprint {
        return Err(refused(
            "the coordinator and the datanode have different functions".into(),
            "Install one version of Kestrel everywhere.",
        ));
    }
    if fragment.datanode != here.datanode.0 {
        let meant = DatanodeId(fragment.datanode);
        let here = here.datanode;
        return Err(ErrorReport::internal(format!("a fragment for {meant} was sent to {here}")));
    }
    let Some(query) = QueryId::from_bytes(&fragment.query_id) else {
        return Err(ErrorReport::internal("a fragment's query id is not of 16 bytes"));
    };
    if fragment.slice == 0 {
        return Err(ErrorReport::internal("slice 0 was sent to a datanode"));
    }
    Ok(FragmentId { query, slice: SliceId(fragment.slice) })
}

/// Refuses a coordinator that another has replaced (55000).
pub(super) fn check_epoch(epoch: u64, newest: u64) -> Result<()> {
    if epoch >= newest {
        return Ok(());
    }
    Err(refused(
        format!("the coordinator of epoch {epoch} has been replaced by that of epoch {newest}"),
        "Connect to the newer coordinator.",
    ))
}

fn refused(message: String, hint: &str) -> ErrorReport {
    ErrorReport::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, message).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fitting_fragments_run() {
        let here = Here { datanode: DatanodeId(1), newest_epoch: 5, function_fingerprint: 77 };
        let query = QueryId::random();
        let good = Fragment {
            query_id: query.to_bytes().to_vec().into(),
            slice: 3,
            datanode: 1,
            coordinator_epoch: 5,
            engine_version: ENGINE_VERSION.into(),
            function_fingerprint: 77,
            ..Default::default()
        };
        let newer = Fragment { coordinator_epoch: 6, ..good.clone() };
        for accepted in [&good, &newer] {
            let id = check(accepted, &here).unwrap();
            assert_eq!(id, FragmentId { query, slice: SliceId(3) });
            assert_eq!(id.motion(), MotionId(3));
        }
        let (state, bug) = (SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, SqlState::INTERNAL_ERROR);
        let bad = [
            (Fragment { coordinator_epoch: 4, ..good.clone() }, state),
            (Fragment { engine_version: "kestrel-0".into(), ..good.clone() }, state),
            (Fragment { function_fingerprint: 76, ..good.clone() }, state),
            (Fragment { datanode: 0, ..good.clone() }, bug),
            (Fragment { query_id: vec![1; 15].into(), ..good.clone() }, bug),
            (Fragment { slice: 0, ..good.clone() }, bug),
        ];
        for (fragment, expected) in bad {
            let error = check(&fragment, &here).unwrap_err();
            assert_eq!(error.sqlstate, expected, "{}", error.message);
        }
    }
}
