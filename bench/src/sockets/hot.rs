//! One event whose viewers are spread over two shards, beside two events of half the viewers each.
