//! A TLS 1.3 handshake by rustls, both sides in memory: mutual Ed25519, X25519 alone, no resumption, no tickets.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{
    CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig,
    ServerConnection, SignatureScheme,
};
use std::sync::Arc;

/// Two parties, configured once.
pub(crate) struct Tls {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Tls {
    /// Each side has a self-signed Ed25519 certificate that the other trusts: rustls checks its signature and its name.
    pub(crate) fn with_certificates(provider: CryptoProvider, group: &'static dyn SupportedKxGroup) -> Self {
        let provider = with_one_group(provider, group);
        let key = key_pair();
        let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a DNS name");
        let certificate = parameters.self_signed(&key).expect("the key signs").der().clone();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a good certificate");
        let roots = Arc::new(roots);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone());
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has TLS 1.3")
            .with_root_certificates(roots)
            .with_client_auth_cert(vec![certificate.clone()], private_key(&key))
            .expect("the key of this certificate");
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has TLS 1.3")
            .with_client_cert_verifier(verifier.build().expect("there is a root"))
            .with_single_cert(vec![certificate], private_key(&key))
            .expect("the key of this certificate");
        Self::with_full_handshakes(client, server)
    }

    /// Each side knows the other's raw public key (RFC 7250): one signature check a side, as on our link.
    pub(crate) fn with_raw_keys(provider: CryptoProvider, group: &'static dyn SupportedKxGroup) -> Self {
        let provider = with_one_group(provider, group);
        let loaded = provider.key_provider.load_private_key(private_key(&key_pair())).expect("an Ed25519 key");
        let public = loaded.public_key().expect("providers tell the public half").into_owned();
        let own = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], loaded));
        let pinned = Arc::new(Pinned { key: public, algorithms: provider.signature_verification_algorithms });
        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has TLS 1.3")
            .dangerous()
            .with_custom_certificate_verifier(pinned.clone())
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(own.clone())));
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .expect("the provider has TLS 1.3")
            .with_client_cert_verifier(pinned)
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(own)));
        Self::with_full_handshakes(client, server)
    }

    fn with_full_handshakes(mut client: ClientConfig, mut server: ServerConfig) -> Self {
        client.resumption = Resumption::disabled();
        server.send_tls13_tickets = 0;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        Self { client: Arc::new(client), server: Arc::new(server) }
    }

    /// One handshake until both sides can send data.
    pub(crate) fn handshake(&self) -> (ClientConnection, ServerConnection) {
        let name = ServerName::try_from("localhost").expect("a DNS name");
        let mut client = ClientConnection::new(self.client.clone(), name).expect("a good configuration");
        let mut server = ServerConnection::new(self.server.clone()).expect("a good configuration");
        let mut wire = Vec::with_capacity(4096);
        while client.is_handshaking() || server.is_handshaking() {
            pass(&mut client, &mut server, &mut wire);
            pass(&mut server, &mut client, &mut wire);
        }
        (client, server)
    }
}

fn with_one_group(provider: CryptoProvider, group: &'static dyn SupportedKxGroup) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { kx_groups: vec![group], ..provider })
}

fn key_pair() -> rcgen::KeyPair {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("the system has random bytes")
}

fn private_key(key: &rcgen::KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(key.serialize_der().into())
}

fn pass<A, B>(
    from: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<A>>,
    to: &mut impl std::ops::DerefMut<Target = rustls::ConnectionCommon<B>>,
    wire: &mut Vec<u8>,
) where
    A: rustls::SideData,
    B: rustls::SideData,
{
    wire.clear();
    while from.wants_write() {
        from.write_tls(wire).expect("memory takes all bytes");
    }
    let mut rest = &wire[..];
    while !rest.is_empty() {
        to.read_tls(&mut rest).expect("memory gives all bytes");
        to.process_new_packets().expect("an honest peer");
    }
}

/// Takes one raw public key and no other.
#[derive(Debug)]
struct Pinned {
    key: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    fn compare(&self, presented: &CertificateDer<'_>) -> Result<(), Error> {
        let same = presented.as_ref() == self.key.as_ref();
        if same { Ok(()) } else { Err(Error::General("another key".into())) }
    }

    fn check(&self, message: &[u8], dss: &DigitallySignedStruct) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &self.key, dss, &self.algorithms)
    }
}

fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::General("TLS 1.3 only".into()))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        presented: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.compare(presented).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(message, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        presented: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.compare(presented).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        _: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check(message, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
