//! Rewrites the sentinels of an attributes object as the strings that the database keeps.
// replaced at merge by crate::decode::attributes::write_for_database: knows canonical forms only.

/// Copies `attributes` to `out` with each `{"__bigint":…}` and `{"__buffer_b64":…}` as its string
/// and each `{"type":"Buffer","data":[…]}` as base64. The input is a valid JSON object.
pub(super) fn write_for_database(attributes: &[u8], out: &mut Vec<u8>) {
    let mut rest = attributes;
    let mut is_text = false;
    let mut depth = 0_u32;
    while let Some(&byte) = rest.first() {
        if !is_text && depth == 1 && byte == b'{' {
            let bytes = write_sentinel(rest, out);
            if bytes > 0 {
                rest = &rest[bytes..];
                continue;
            }
        }
        let bytes = if is_text && byte == b'\\' { 2 } else { 1 };
        match byte {
            b'"' => is_text = !is_text,
            b'{' | b'[' if !is_text => depth += 1,
            b'}' | b']' if !is_text => depth -= 1,
            _ => {}
        }
        out.extend_from_slice(&rest[..bytes]);
        rest = &rest[bytes..];
    }
}

/// Writes the sentinel at the start of `value` and says how long it was; 0 when it is none.
fn write_sentinel(value: &[u8], out: &mut Vec<u8>) -> usize {
    let end = value.iter().position(|&byte| byte == b'}').map_or(0, |at| at + 1);
    for key in [&b"{\"__bigint\":"[..], b"{\"__buffer_b64\":"] {
        if let Some(text) = value[..end].strip_prefix(key) {
            out.extend_from_slice(&text[..text.len() - 1]);
            return end;
        }
    }
    let Some(list) = value[..end].strip_prefix(b"{\"type\":\"Buffer\",\"data\":[") else {
        return 0;
    };
    let data: Vec<u8> = list[..list.len() - 2]
        .split(|&byte| byte == b',')
        .filter(|number| !number.is_empty())
        .map(|number| number.iter().fold(0, |value: u8, &d| value.wrapping_mul(10) + (d - b'0')))
        .collect();
    out.push(b'"');
    write_base64(&data, out);
    out.push(b'"');
    end
}

fn write_base64(data: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in data.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at)) as usize & 63];
            out.push(if at > group.len() { b'=' } else { digit });
        }
    }
}
