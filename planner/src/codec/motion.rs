//! Both ends of motions.

use std::sync::Arc;

use datafusion::{error::Result, execution::TaskContext, physical_plan::ExecutionPlan};
use kestrel_proto::{
    BucketMap, DatanodeId, MotionId,
    message::{self, motion_send::Routing},
};

use super::{Codec, ProtoConverter, decode_schema, encode_schema, internal};
use crate::{
    catalog::HashClass,
    motion::{HashKey, Motion},
    operators::{MotionReceiveExec, MotionSendExec},
};

impl Codec {
    pub(super) fn encode_send(
        &self,
        send: &MotionSendExec,
        converter: ProtoConverter<'_>,
    ) -> Result<message::MotionSend> {
        let routing = match send.motion() {
            Motion::Gather { merge, .. } => Routing::Gather(message::Gather {
                merge_keys: self.encode_order(merge, converter)?,
            }),
            Motion::Broadcast => Routing::Broadcast(message::Broadcast {}),
            Motion::Spread => Routing::Redistribute(message::Redistribute::default()),
            Motion::Redistribute { keys, bucket_map } => {
                let exprs = keys.iter().map(|k| self.encode_expr(&k.expr, converter));
                Routing::Redistribute(message::Redistribute {
                    hash_keys: exprs.collect::<Result<_>>()?,
                    hash_types: keys.iter().map(|k| k.class.name().to_string()).collect(),
                    bucket_map: Some(bucket_map.to_message()),
                })
            }
        };
        Ok(message::MotionSend {
            motion: send.id().0,
            routing: Some(routing),
            receivers: send.receivers().iter().map(|r| r.0).collect(),
        })
    }

    pub(super) fn decode_send(
        &self,
        send: message::MotionSend,
        input: Arc<dyn ExecutionPlan>,
        ctx: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = input.schema();
        let motion = match send.routing.ok_or_else(|| internal("a motion without routing"))? {
            Routing::Gather(gather) => {
                let merge = self.decode_order(&gather.merge_keys, &schema, ctx)?;
                Motion::Gather { merge, fetch: None }
            }
            Routing::Broadcast(_) => Motion::Broadcast,
            Routing::Redistribute(r) if r.hash_keys.is_empty() => Motion::Spread,
            Routing::Redistribute(r) => {
                let keys = r.hash_keys.iter().zip(&r.hash_types).map(|(expr, class)| {
                    let expr = self.decode_expr(expr, &schema, ctx)?;
                    let class = HashClass::parse(class).ok_or_else(|| internal("a hash class"))?;
                    Ok(HashKey { expr, class })
                });
                let bucket_map = r.bucket_map.as_ref().and_then(BucketMap::from_message);
                Motion::Redistribute {
                    keys: keys.collect::<Result<_>>()?,
                    bucket_map: Arc::new(bucket_map.ok_or_else(|| internal("no bucket map"))?),
                }
            }
        };
        let receivers = send.receivers.into_iter().map(DatanodeId).collect();
        Ok(Arc::new(MotionSendExec::new(MotionId(send.motion), motion, receivers, input)))
    }

    pub(super) fn encode_receive(
        &self,
        receive: &MotionReceiveExec,
        converter: ProtoConverter<'_>,
    ) -> Result<message::MotionReceive> {
        Ok(message::MotionReceive {
            motion: receive.id.0,
            senders: receive.senders.iter().map(|s| s.0).collect(),
            schema: encode_schema(&receive.schema()),
            merge_keys: self.encode_order(&receive.merge, converter)?,
            estimated_rows: receive.estimated_rows,
            estimated_bytes: receive.estimated_bytes,
            fetch: receive.fetch.map(|f| f as u64),
        })
    }

    pub(super) fn decode_receive(
        &self,
        receive: message::MotionReceive,
        ctx: &TaskContext,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = decode_schema(&receive.schema)?;
        let merge = self.decode_order(&receive.merge_keys, &schema, ctx)?;
        Ok(Arc::new(MotionReceiveExec::new(
            MotionId(receive.motion),
            receive.senders.into_iter().map(DatanodeId).collect(),
            schema,
            merge,
            receive.fetch.map(|f| f as usize),
            (receive.estimated_rows, receive.estimated_bytes),
        )))
    }
}
