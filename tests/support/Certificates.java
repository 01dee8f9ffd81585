import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.SecureRandom;
import java.security.cert.Certificate;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPrivateKey;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Date;
import java.util.stream.Stream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.bouncycastle.asn1.ASN1Object;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.SubjectPublicKeyInfo;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.util.io.pem.PemObject;

/** A certificate authority for one test run, and certificates of it that are valid for a day. */
final class Certificates {

    private static final char[] NO_PASSWORD = {};
    private static final X500Name ISSUER = new X500Name("CN=test-authority");

    private final KeyPair keys = rsa();
    private final X509Certificate authority = sign(ISSUER, keys, true);

    /** A certificate and its key. */
    record Issued(X509Certificate certificate, KeyPair keys) {

        /** The certificate as PEM. */
        String certificatePem() {
            return pem(certificate);
        }

        /** The key as openssl writes it by itself: PKCS#1 for RSA, SEC 1 with the public key for elliptic curves. */
        String keyPem() {
            if (!(keys.getPrivate() instanceof ECPrivateKey ec)) {
                return pem(keys.getPrivate());
            }
            SubjectPublicKeyInfo shared = SubjectPublicKeyInfo.getInstance(keys.getPublic().getEncoded());
            int bits = ec.getParams().getOrder().bitLength();
            return pem(new PemObject("EC PRIVATE KEY", encode(new org.bouncycastle.asn1.sec.ECPrivateKey(bits, ec.getS(),
                    shared.getPublicKeyData(), shared.getAlgorithm().getParameters()))));
        }

        /** The key in PKCS#8. */
        String pkcs8Pem() {
            return pem(new PemObject("PRIVATE KEY", keys.getPrivate().getEncoded()));
        }
    }

    /** A new pair of RSA keys of 2048 bits. */
    static KeyPair rsa() {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
            generator.initialize(2048);
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A new pair of keys of a curve, such as {@code secp256r1}. */
    static KeyPair ec(String curve) {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
            generator.initialize(new ECGenParameterSpec(curve));
            return generator.generateKeyPair();
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        }
    }

    /** The authority's own certificate as PEM. */
    String authorityPem() {
        return pem(authority);
    }

    /** A certificate with this common name, for a server with these names or IPv4 addresses. */
    Issued issue(String commonName, KeyPair subject, String... names) {
        return new Issued(sign(new X500Name("CN=" + commonName), subject, false, names), subject);
    }

    /** TLS of a server that asks its clients for certificates of this authority, and takes none, too. */
    SSLContext server(Issued own) {
        try {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            store.setKeyEntry("server", own.keys().getPrivate(), NO_PASSWORD, new Certificate[] {own.certificate()});
            KeyManagerFactory keyManagers = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            keyManagers.init(store, NO_PASSWORD);
            KeyStore trusted = KeyStore.getInstance("PKCS12");
            trusted.load(null, null);
            trusted.setCertificateEntry("authority", authority);
            TrustManagerFactory trustManagers = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            trustManagers.init(trusted);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keyManagers.getKeyManagers(), trustManagers.getTrustManagers(), null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new IllegalStateException(e);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private X509Certificate sign(X500Name subject, KeyPair own, boolean isAuthority, String... names) {
        Instant now = Instant.now();
        JcaX509v3CertificateBuilder builder = new JcaX509v3CertificateBuilder(ISSUER, new BigInteger(64, new SecureRandom()),
                Date.from(now.minus(Duration.ofHours(1))), Date.from(now.plus(Duration.ofDays(1))), subject, own.getPublic());
        try {
            builder.addExtension(Extension.basicConstraints, true, new BasicConstraints(isAuthority));
            if (names.length > 0) {
                builder.addExtension(Extension.subjectAlternativeName, false, new GeneralNames(Stream.of(names).map(name ->
                        new GeneralName(name.matches("[0-9.]+") ? GeneralName.iPAddress : GeneralName.dNSName, name))
                        .toArray(GeneralName[]::new)));
            }
            return new JcaX509CertificateConverter().getCertificate(builder.build(
                    new JcaContentSignerBuilder("SHA256withRSA").build(keys.getPrivate())));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (GeneralSecurityException | OperatorCreationException e) {
            throw new IllegalStateException(e);
        }
    }

    private static byte[] encode(ASN1Object object) {
        try {
            return object.getEncoded();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String pem(Object object) {
        StringWriter text = new StringWriter();
        try (JcaPEMWriter writer = new JcaPEMWriter(text)) {
            writer.writeObject(object);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return text.toString();
    }
}
