import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsExchange;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.security.Principal;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;
import javax.net.ssl.ExtendedSSLSession;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.SSLSession;

/**
 * An API server that speaks TLS and wants to know its clients, as real ones do: an {@link InMemoryServer} stands behind it. Whoever shows a
 * client certificate, or a token or password that is registered here, is let in; all others get 401.
 */
final class SecureServer implements AutoCloseable {

    private static final int BUFFER = 8192;
    private static final String IMPERSONATE_USER = "impersonate-user: ";

    private final InMemoryServer objects = new InMemoryServer();
    private final HttpClient client = HttpClient.newHttpClient();
    private final Map<String, String> users = new ConcurrentHashMap<>();
    private final List<Request> requests = new CopyOnWriteArrayList<>();
    private final ExecutorService workers = Executors.newVirtualThreadPerTaskExecutor();
    private final Certificates authority;
    private final HttpsServer server;
    /** Asked about each bearer token that is not registered: the user, or null. */
    private volatile Function<String, String> tokens = token -> null;

    /**
     * A request as it came.
     *
     * @param user         whom the credential belongs to, null if there was none or it was refused
     * @param impersonated all {@code Impersonate-…} headers, {@code header: value} with the header in lower case
     * @param host         the header
     * @param serverName   what TLS was asked for (SNI), {@code ""} if nothing
     */
    record Request(String user, List<String> impersonated, String host, String serverName) {}

    /** The same with a certificate for 127.0.0.1. */
    SecureServer(Certificates authority) {
        this(authority, authority.issue("kube-apiserver", Certificates.rsa(), "127.0.0.1"));
    }

    /** Listens on a free port of 127.0.0.1 with this certificate. The pod {@code web-0} is in the namespace {@code default}. */
    SecureServer(Certificates authority, Certificates.Issued own) {
        this.authority = authority;
        createPod("default", "web-0");
        try {
            server = HttpsServer.create(new InetSocketAddress(InetAddress.getByName("127.0.0.1"), 0), 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        server.setHttpsConfigurator(new HttpsConfigurator(authority.server(own)) {
            @Override
            public void configure(HttpsParameters parameters) {
                parameters.setWantClientAuth(true);
            }
        });
        server.setExecutor(workers);
        server.createContext("/", this::handle);
        server.start();
    }

    /** {@code https://127.0.0.1:<port>}. */
    String url() {
        return "https://127.0.0.1:" + port();
    }

    /** The fields of a cluster in a {@link Kubeconfigs kubeconfig} that lead here. */
    String cluster() {
        return "server: \"%s\", certificate-authority-data: %s".formatted(url(), Kubeconfigs.base64(authority.authorityPem()));
    }

    int port() {
        return server.getAddress().getPort();
    }

    /** The objects behind it. */
    InMemoryServer objects() {
        return objects;
    }

    /** Creates a running pod that is Ready, and its namespace if need be. */
    void createPod(String namespace, String name) {
        objects.withStore(store -> {
            store.create(Resource.NAMESPACES, "", Map.of("metadata", Map.of("name", namespace)));
            store.create(Resource.PODS, namespace, Map.of("metadata", Map.of("name", name),
                    "spec", Map.of("containers", List.of(Map.of("name", "app", "image", "app")))));
            return store.patchStatus(Resource.PODS, namespace, name, Map.of("status", Map.of("phase", "Running",
                    "conditions", List.of(Map.of("type", "Ready", "status", "True")))));
        });
    }

    /** Lets in whoever sends this credential, the value of an {@code Authorization} header; a null user shuts it out. */
    void register(String credential, String user) {
        if (user == null) {
            users.remove(credential);
        } else {
            users.put(credential, user);
        }
    }

    /** Decides from now on about bearer tokens that are not registered; null is a refusal. */
    void decideTokens(Function<String, String> decision) {
        tokens = decision;
    }

    /** All requests up to now. */
    List<Request> requests() {
        return new ArrayList<>(requests);
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            String credential = Objects.requireNonNullElse(exchange.getRequestHeaders().getFirst("Authorization"), "");
            SSLSession session = ((HttpsExchange) exchange).getSSLSession();
            String user = user(credential, session);
            List<String> impersonated = exchange.getRequestHeaders().entrySet().stream()
                    .filter(e -> e.getKey().startsWith("Impersonate-"))
                    .flatMap(e -> e.getValue().stream().map(value -> e.getKey().toLowerCase(Locale.ROOT) + ": " + value)).sorted().toList();
            String serverName = ((ExtendedSSLSession) session).getRequestedServerNames().stream()
                    .map(name -> new String(name.getEncoded(), StandardCharsets.US_ASCII)).findFirst().orElse("");
            requests.add(new Request(user, impersonated, exchange.getRequestHeaders().getFirst("Host"), serverName));
            String name = impersonated.stream().filter(header -> header.startsWith(IMPERSONATE_USER))
                    .map(header -> header.substring(IMPERSONATE_USER.length())).findFirst().orElse(user);
            if (user == null) {
                answer(exchange, 401, Map.of("kind", "Status", "status", "Failure", "message", "Unauthorized", "code", 401));
            } else if (exchange.getRequestURI().getPath().endsWith("/selfsubjectreviews")) {
                answer(exchange, 201, Map.of("kind", "SelfSubjectReview", "status", Map.of("userInfo", Map.of("username", name))));
            } else {
                pass(exchange);
            }
        }
    }

    private String user(String credential, SSLSession session) {
        if (users.containsKey(credential)) {
            return users.get(credential);
        }
        if (credential.startsWith("Bearer ")) {
            return tokens.apply(credential.substring("Bearer ".length()));
        }
        try {
            Principal subject = session.getPeerPrincipal();
            return subject.getName().replaceFirst("^CN=", "");
        } catch (SSLPeerUnverifiedException none) {
            return null;
        }
    }

    private static void answer(HttpExchange exchange, int code, Map<String, Object> body) throws IOException {
        byte[] bytes = Json.print(body).getBytes(StandardCharsets.UTF_8);
        exchange.getRequestBody().readAllBytes();
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(code, bytes.length);
        exchange.getResponseBody().write(bytes);
    }

    private void pass(HttpExchange exchange) throws IOException {
        byte[] body = exchange.getRequestBody().readAllBytes();
        HttpRequest.Builder onward = HttpRequest.newBuilder(URI.create(objects.client().getBasePath() + exchange.getRequestURI()))
                .method(exchange.getRequestMethod(), HttpRequest.BodyPublishers.ofByteArray(body));
        String type = exchange.getRequestHeaders().getFirst("Content-Type");
        if (type != null) {
            onward.header("Content-Type", type);
        }
        try {
            HttpResponse<InputStream> answer = client.send(onward.build(), HttpResponse.BodyHandlers.ofInputStream());
            exchange.getResponseHeaders().set("Content-Type", answer.headers().firstValue("Content-Type").orElse("application/json"));
            exchange.sendResponseHeaders(answer.statusCode(), 0);
            copy(answer.body(), exchange.getResponseBody());
        } catch (InterruptedException closing) {
            Thread.currentThread().interrupt();
        }
    }

    /** As it comes: events of a watch must not wait for its end. */
    private static void copy(InputStream from, OutputStream to) throws IOException {
        byte[] buffer = new byte[BUFFER];
        try (from; to) {
            to.flush();
            for (int n = from.read(buffer); n >= 0; n = from.read(buffer)) {
                to.write(buffer, 0, n);
                to.flush();
            }
        }
    }

    @Override
    public void close() {
        server.stop(0);
        workers.shutdownNow();
        objects.close();
        client.shutdownNow();
    }
}
