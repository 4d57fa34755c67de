//! The fields of an entry made again from its row, for a dead letter whose entry was trimmed.

use engine::rows::RowBatch;

use super::dead_letter::Fields;
use crate::log::push_time;

/// The fields that say what the row says. Numbers that the column holds in another form than the
/// device sent them stay in that form.
pub(super) fn fields(batch: &RowBatch, row: u32) -> Fields {
    let position = &batch.positions()[row as usize];
    let device_id = batch.device_id(row);
    let mut time = String::new();
    push_time(&mut time, position.timestamp_ms);
    let name = sonic_rs::to_string(&String::from_utf8_lossy(device_id)).expect("text is JSON");
    let attributes = String::from_utf8_lossy(batch.attributes(row));
    let payload = format!(
        "{{\"device_id\":{name},\"timestamp\":\"{time}\",\"latitude\":{},\"longitude\":{},\
         \"altitude\":{},\"angle\":{},\"speed\":{},\"satellites\":{},\"priority\":{},\
         \"attributes\":{attributes}}}",
        position.latitude,
        position.longitude,
        position.altitude,
        position.angle,
        position.speed,
        position.satellites,
        position.priority,
    );
    [
        ("ts", time.into_bytes()),
        ("device_id", device_id.to_vec()),
        ("codec", position.codec.text().as_bytes().to_vec()),
        ("payload", payload.into_bytes()),
    ]
    .map(|(name, value)| (name.as_bytes().to_vec(), value))
    .to_vec()
}
