import java.io.IOException;
import java.io.InputStream;
import java.net.InetAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.TimeUnit;
import mockwebserver3.Dispatcher;
import mockwebserver3.MockResponse;
import mockwebserver3.MockResponseBody;
import mockwebserver3.MockWebServer;
import mockwebserver3.RecordedRequest;
import okhttp3.tls.HandshakeCertificates;
import okhttp3.tls.HeldCertificate;
import okio.BufferedSink;
import okio.ByteString;

/**
 * TLS and HTTP/2 in front of an {@link InMemoryServer}, as a real API server has them: what a sidecar does in a cluster for each of
 * its requests would otherwise be missing from the training.
 */
final class SecureFront implements AutoCloseable {

    private static final int BUFFER = 8192;

    private final MockWebServer server = new MockWebServer();
    private final HttpClient client = HttpClient.newHttpClient();
    private final HeldCertificate authority = new HeldCertificate.Builder().rsa2048().commonName("training").certificateAuthority(0)
            .duration(1, TimeUnit.DAYS).build();
    private final String origin;

    /** Listens on a free port of 127.0.0.1 and passes everything on to {@code origin}, such as {@code http://127.0.0.1:8080}. */
    SecureFront(String origin) throws IOException {
        this.origin = origin;
        // RSA, because that is what kubeadm makes.
        HeldCertificate own = new HeldCertificate.Builder().rsa2048().commonName("kube-apiserver").addSubjectAlternativeName("127.0.0.1")
                .duration(1, TimeUnit.DAYS).signedBy(authority).build();
        server.useHttps(new HandshakeCertificates.Builder().heldCertificate(own).addTrustedCertificate(authority.certificate()).build()
                .sslSocketFactory());
        server.requestClientAuth();
        server.setDispatcher(new Dispatcher() {
            @Override
            public MockResponse dispatch(RecordedRequest request) throws InterruptedException {
                return pass(request);
            }
        });
        server.start(InetAddress.getByName("127.0.0.1"), 0);
    }

    int port() {
        return server.getPort();
    }

    /** The certificate, as PEM, of the authority that clients have to trust. */
    String authority() {
        return authority.certificatePem();
    }

    private MockResponse pass(RecordedRequest request) throws InterruptedException {
        ByteString body = request.getBody();
        HttpRequest.Builder onward = HttpRequest.newBuilder(URI.create(origin + request.getTarget())).method(request.getMethod(),
                body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body.toByteArray()));
        String type = request.getHeaders().get("Content-Type");
        if (type != null) {
            onward.header("Content-Type", type);
        }
        try {
            HttpResponse<InputStream> answer = client.send(onward.build(), HttpResponse.BodyHandlers.ofInputStream());
            return new MockResponse.Builder().clearHeaders().code(answer.statusCode())
                    .setHeader("Content-Type", answer.headers().firstValue("Content-Type").orElse("application/json"))
                    .body(new Passed(answer.body())).build();
        } catch (IOException down) {
            return new MockResponse.Builder().code(503).build();
        }
    }

    /** A body that is passed on as it comes: a watch's events must not wait for its end. */
    private record Passed(InputStream body) implements MockResponseBody {

        @Override
        public long getContentLength() {
            return -1;
        }

        @Override
        public void writeTo(BufferedSink sink) throws IOException {
            byte[] buffer = new byte[BUFFER];
            try (body) {
                for (int n = body.read(buffer); n >= 0; n = body.read(buffer)) {
                    sink.write(buffer, 0, n);
                    sink.flush();
                }
            }
        }
    }

    @Override
    public void close() {
        server.close();
    }
}
