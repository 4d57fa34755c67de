//! Packets as one pipeline of XADD, and which of them are safe by the replies.

use engine::position::Codec;
use engine::teltonika::{Imei, PayloadWriter, Record, append_decimal, write_timestamp};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::packets::Packet;
use crate::stream::{Cursor, Failure};

/// A buffer that has grown beyond this for unusual packets is given back.
const KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Writes commands. Keeps only scratch memory.
#[derive(Debug)]
pub(super) struct Writer {
    /// What every command begins with, up to the name of its first field.
    head: Vec<u8>,
    payloads: PayloadWriter,
    payload: Vec<u8>,
    time: Vec<u8>,
    /// The commands of the last batch.
    commands: Vec<u8>,
}

/// Packets whose records are on their way.
#[derive(Debug)]
pub(super) struct Batch {
    /// Who waits for how many replies, in their order.
    waiting: Vec<(u8, oneshot::Sender<()>)>,
    /// Replies in all.
    pub(super) records: usize,
    /// When it was sent.
    pub(super) sent: Instant,
}

/// What the replies to a batch say.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// Records that are safe, those of packets that are not among them.
    pub(super) added: u64,
    /// The first refusal.
    pub(super) refusal: Option<Failure>,
}

impl Writer {
    /// For this stream, which keeps about so many entries.
    pub(super) fn new(stream: &str, length_max: u64) -> Self {
        let mut head = b"*14\r\n".to_vec();
        for word in ["XADD", stream, "MAXLEN", "~", &length_max.to_string(), "*", "ts"] {
            append(&mut head, word.as_bytes());
        }
        let (payload, time, commands) = (Vec::new(), Vec::new(), Vec::new());
        Self { head, payloads: PayloadWriter::new(), payload, time, commands }
    }

    /// Writes the commands for the packets, which are empty afterwards.
    pub(super) fn write(&mut self, packets: &mut Vec<Packet>) -> (&[u8], Batch) {
        self.commands.clear();
        self.commands.shrink_to(KEPT_BYTES_MAX);
        let mut waiting = Vec::with_capacity(packets.len());
        let mut records = 0;
        for packet in packets.drain(..) {
            let decoded = packet.decode().expect("the listener hands on what it has decoded");
            for record in decoded.records() {
                self.append_record(&packet.imei, packet.codec, &record);
            }
            records += usize::from(packet.records);
            waiting.push((packet.records, packet.safe));
        }
        (&self.commands, Batch { waiting, records, sent: Instant::now() })
    }

    fn append_record(&mut self, imei: &Imei, codec: Codec, record: &Record<'_>) {
        self.payload.clear();
        self.payloads.write(imei, record, &mut self.payload);
        self.time.clear();
        // A time that no text can say leaves the field empty, and the payload says null.
        let has_time = write_timestamp(record.fix.timestamp_ms, &mut self.time).is_some();
        debug_assert!(has_time || self.time.is_empty());
        let commands = &mut self.commands;
        commands.extend_from_slice(&self.head);
        append(commands, &self.time);
        append(commands, b"device_id");
        append(commands, imei.as_str().as_bytes());
        append(commands, b"codec");
        append(commands, codec.text().as_bytes());
        append(commands, b"payload");
        append(commands, &self.payload);
    }
}

impl Batch {
    /// Tells those whose records are all safe. The others are dropped untold.
    ///
    /// # Errors
    /// When the replies are not those to XADD.
    pub(super) fn judge(self, mut replies: Cursor<'_>) -> Result<Judged, Failure> {
        let mut judged = Judged::default();
        for (records, safe) in self.waiting {
            let mut are_safe = true;
            for _ in 0..records {
                if let Some(text) = replies.error() {
                    judged.refusal.get_or_insert_with(|| Failure::refused(text));
                    are_safe = false;
                    replies.skip()?;
                } else {
                    are_safe &= replies.text()?.is_some();
                    judged.added += 1;
                }
            }
            if are_safe {
                // Who has gone meanwhile sends again, which is harmless.
                safe.send(()).ok();
            }
        }
        Ok(judged)
    }
}

/// Appends one word of a command.
fn append(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    append_decimal(word.len() as u64, out);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use engine::position::Codec;
    use engine::teltonika::{Fix, Imei, OutgoingRecord, encode_packet};
    use tokio::sync::oneshot;

    use super::Writer;
    use crate::ingest::packets::Packet;
    use crate::stream::ReplyReader;

    /// A packet of so many records, and the way to hear of it.
    fn packet(records: u8) -> (Packet, oneshot::Receiver<()>) {
        let fix = Fix { timestamp_ms: 1_780_733_730_000, satellites: 9, ..Fix::default() };
        let record = OutgoingRecord { fix, elements: &[] };
        let mut bytes = Vec::new();
        encode_packet(Codec::Codec8, &vec![record; usize::from(records)], &mut bytes).unwrap();
        let (framed, &checksum) = bytes.split_last_chunk().unwrap();
        let (safe, told) = oneshot::channel();
        let imei = Imei::parse(b"356307042441013").unwrap();
        let data = framed[8..].to_vec();
        (Packet { imei, codec: Codec::Codec8, data, checksum, records, safe }, told)
    }

    /// What is told after these replies of Redis to packets of one, two and one records.
    fn told(replies: &str) -> ([bool; 3], u64, Option<String>) {
        let (mut packets, mut told): (Vec<_>, Vec<_>) = [1, 2, 1].map(packet).into_iter().unzip();
        let mut writer = Writer::new("stream", 1_000);
        let (_, batch) = writer.write(&mut packets);
        let mut reader = ReplyReader::new();
        reader.expect(batch.records);
        reader.room().extend_from_slice(replies.as_bytes());
        assert!(reader.measure().unwrap());
        let judged = batch.judge(reader.reply()).unwrap();
        let told = std::array::from_fn(|at| told[at].try_recv().is_ok());
        (told, judged.added, judged.refusal.map(|failure| failure.words))
    }

    #[test]
    fn a_record_becomes_the_entry_that_the_platform_writes() {
        let (one, _told) = packet(1);
        let mut writer = Writer::new("telemetry:teltonika", 1_000_000);
        let (commands, batch) = writer.write(&mut vec![one]);
        let expected = redis::cmd("XADD")
            .arg("telemetry:teltonika")
            .arg("MAXLEN")
            .arg("~")
            .arg(1_000_000)
            .arg("*")
            .arg("ts")
            .arg("2026-06-06T08:15:30.000Z")
            .arg("device_id")
            .arg("356307042441013")
            .arg("codec")
            .arg("8")
            .arg("payload")
            .arg(
                "{\"device_id\":\"356307042441013\",\"timestamp\":\"2026-06-06T08:15:30.000Z\",\
                 \"latitude\":0,\"longitude\":0,\"altitude\":0,\"angle\":0,\"speed\":0,\
                 \"satellites\":9,\"priority\":0,\"attributes\":{}}",
            )
            .get_packed_command();
        assert_eq!(String::from_utf8_lossy(commands), String::from_utf8_lossy(&expected));
        assert_eq!(batch.records, 1);
    }

    #[test]
    fn who_has_one_record_refused_is_not_told() {
        let id = "$3\r\n1-1\r\n";
        assert_eq!(told(&id.repeat(4)), ([true; 3], 4, None));
        let refusal = "-OOM command not allowed\r\n";
        let words = Some("Redis answered \"OOM command not allowed\".".to_owned());
        assert_eq!(told(&[id, id, refusal, id].concat()), ([true, false, true], 3, words.clone()));
        assert_eq!(told(&refusal.repeat(4)), ([false; 3], 0, words));
    }
}
