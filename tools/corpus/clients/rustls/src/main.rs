// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//! Opens one TLS connection: hello-rustls PORT NAME [ALPN,ALPN...]. The peer need not answer.
use std::{env, io::Write, net::TcpStream, sync::Arc};

fn main() {
    let args: Vec<String> = env::args().collect();
    let roots = rustls::RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    if let Some(list) = args.get(3) {
        config.alpn_protocols = list.split(',').map(|p| p.as_bytes().to_vec()).collect();
    }
    let name = args[2].clone().try_into().expect("a name");
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut tcp = TcpStream::connect(("127.0.0.1", args[1].parse().expect("a port"))).expect("a peer");
    tls.write_tls(&mut tcp).expect("a hello sent");
    let _ = tcp.flush();
}
