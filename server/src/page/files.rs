//! The built files of the live page; `npm run build` in `server/web` writes this table.

use super::File;

/// Every file, by its path.
pub(super) static FILES: [File; 6] = [
    File {
        path: "/",
        content_type: "text/html; charset=utf-8",
        is_named_by_content: false,
        plain: include_bytes!("../../web/dist/index.html"),
        compressed: Some(include_bytes!("../../web/dist/index.html.gz")),
    },
    File {
        path: "/page/icon-CIgolKFB.svg",
        content_type: "image/svg+xml",
        is_named_by_content: true,
        plain: include_bytes!("../../web/dist/page/icon-CIgolKFB.svg"),
        compressed: None,
    },
    File {
        path: "/page/index-Cv6Zu9kC.css",
        content_type: "text/css; charset=utf-8",
        is_named_by_content: true,
        plain: include_bytes!("../../web/dist/page/index-Cv6Zu9kC.css"),
        compressed: Some(include_bytes!("../../web/dist/page/index-Cv6Zu9kC.css.gz")),
    },
    File {
        path: "/page/index-DfzOHy9f.js",
        content_type: "text/javascript; charset=utf-8",
        is_named_by_content: true,
        plain: include_bytes!("../../web/dist/page/index-DfzOHy9f.js"),
        compressed: Some(include_bytes!("../../web/dist/page/index-DfzOHy9f.js.gz")),
    },
    File {
        path: "/page/maplibre-gl-worker-CZtFQQIV.mjs",
        content_type: "text/javascript; charset=utf-8",
        is_named_by_content: true,
        plain: include_bytes!("../../web/dist/page/maplibre-gl-worker-CZtFQQIV.mjs"),
        compressed: Some(include_bytes!("../../web/dist/page/maplibre-gl-worker-CZtFQQIV.mjs.gz")),
    },
    File {
        path: "/page/notices.txt",
        content_type: "text/plain; charset=utf-8",
        is_named_by_content: false,
        plain: include_bytes!("../../web/dist/page/notices.txt"),
        compressed: Some(include_bytes!("../../web/dist/page/notices.txt.gz")),
    },
];
