//! What is usual, what is refused, and what the database gets.

use super::{check, write_for_database};
use crate::decode::DecodeError::{self, BigIntInvalid, BufferInvalid};

fn check_written(attributes: &str, expected: &str) {
    let mut out = b"before ".to_vec();
    write_for_database(attributes.as_bytes(), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), format!("before {expected}"), "{attributes}");
}

#[test]
fn sentinels_become_strings() {
    check_written(
        r#"{"16":{"__bigint":"18446744073709551615"}}"#,
        r#"{"16":"18446744073709551615"}"#,
    );
    check_written(r#"{"385":{"__buffer_b64":"q83v"}}"#, r#"{"385":"q83v"}"#);
    check_written(
        r#"{"239":1,"16":{"__bigint":"-5"},"385":{"__buffer_b64":""},"9":2.5}"#,
        r#"{"239":1,"16":"-5","385":"","9":2.5}"#,
    );
    check_written(
        "{ \"1\" :\t{ \"__bigint\" : \"7\" } , \"2\":3 }",
        "{ \"1\" :\t\"7\" , \"2\":3 }",
    );
    check_written(r#"{"a:{":{"__bigint":"1"},"b":"{"}"#, r#"{"a:{":"1","b":"{"}"#);
    check_written(
        r#"{"1":{"__bigint":"7"},"2":{"type":"Buffer","data":[]},"3":{"__bigint":"8"}}"#,
        r#"{"1":"7","2":"","3":"8"}"#,
    );
    check_written(r#"{"1":{"\u005f_bigint":"\u0031"}}"#, r#"{"1":"\u0031"}"#);
}

#[test]
fn lists_of_bytes_become_base64() {
    for (list, base64) in [
        ("[]", ""),
        ("[ ]", ""),
        ("[171]", "qw=="),
        ("[171,205]", "q80="),
        ("[171, 205 ,239]", "q83v"),
        ("[171,205,239,0]", "q83vAA=="),
        ("[255,255,255]", "////"),
    ] {
        let expected = format!(r#"{{"1":"{base64}"}}"#);
        check_written(&format!(r#"{{"1":{{"type":"Buffer","data":{list}}}}}"#), &expected);
        check_written(&format!(r#"{{"1":{{"data":{list},"type":"Buffer"}}}}"#), &expected);
    }
}

#[test]
fn everything_else_is_copied_byte_for_byte() {
    for attributes in [
        "{}",
        "{ }",
        r#"{"239":1,"66":12840}"#,
        r#"{"1":{"a":{"__bigint":"1"}}}"#,
        r#"{"1":[{"__bigint":"1"}],"2":{}}"#,
        r#"{"1":{"__bigint":"1","x":2}}"#,
        r#"{"1":{"type":"Buffer","data":[256]}}"#,
        r#"{"1":{"type":"Buffer","data":[1.0]}}"#,
        r#"{"1":{"type":"Buffer","data":["1"]}}"#,
        r#"{"1":{"type":"Buffer","data":[[1]]}}"#,
        r#"{"1":{"type":"Buffer","data":[-0]}}"#,
        r#"{"1":{"type":"Blob","data":[1]}}"#,
        r#"{"{":"{","__bigint":"1"}"#,
        r#"{"a:{":"b:{","c":":{\"__bigint\":\"1\"}"}"#,
        r#"{"1":[2,{"__bigint":"1"}],"3":[{"a":{"__bigint":"1"}}]}"#,
    ] {
        check_written(attributes, attributes);
    }
}

#[test]
fn text_that_was_never_decoded_gives_some_text() {
    for text in ["", "{", "{\"", "{{", "[{", r#"{"1":{"__bigint":"#, r#"{"1":{"__bigint":1}}"#] {
        check_written(text, text);
    }
    check_written(r#"{"1":{"__bigint":"1"},{"#, r#"{"1":"1",{"#);
}

fn check_shape(value: &str, expected: Result<u32, DecodeError>) {
    assert_eq!(check(format!(r#"{{"1":{value}}}"#).as_bytes()), expected, "{value}");
}

#[test]
fn a_value_is_a_number_or_a_sentinel_or_unusual() {
    for usual in [
        "0",
        "-1.5e3",
        r#"{"__bigint":"0"}"#,
        r#"{"__bigint":"-99999999999999999999"}"#,
        r#"{"__buffer_b64":"qw=="}"#,
        r#"{"__buffer_b64":"q83v\/+"}"#,
    ] {
        let expected = if usual.ends_with("/+\"}") { Err(BufferInvalid) } else { Ok(0) };
        check_shape(usual, expected);
    }
    check_shape(r#"{"__buffer_b64":"q83\/"}"#, Ok(0));
    for unusual in ["\"text\"", "true", "null", "[]", "[1]", "{}", r#"{"a":1}"#] {
        check_shape(unusual, Ok(1));
    }
}

#[test]
fn a_broken_sentinel_is_refused() {
    for text in [
        "\"\"",
        "\"-\"",
        "\"1.0\"",
        "\"+1\"",
        "\" 1\"",
        "\"1e3\"",
        "\"0x1\"",
        "\"--1\"",
        "1",
        "null",
        "\"999999999999999999999\"",
        "\"-999999999999999999999\"",
        "\"٣\"",
    ] {
        check_shape(&format!(r#"{{"__bigint":{text}}}"#), Err(BigIntInvalid));
    }
    for text in [
        "\"q\"",
        "\"qw\"",
        "\"qw=\"",
        "\"q===\"",
        "\"====\"",
        "\"qw==q83v\"",
        "\"q-_v\"",
        "[]",
        "\"q83v\\n\"",
        "\"q=3v\"",
        "null",
        "\"qw= \"",
    ] {
        check_shape(&format!(r#"{{"__buffer_b64":{text}}}"#), Err(BufferInvalid));
    }
}
