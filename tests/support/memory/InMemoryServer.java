import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.util.Config;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Function;

/**
 * A Kubernetes API server in this JVM: a {@link Store} behind plain HTTP on a loopback port, ready in milliseconds.
 *
 * <p>It serves pods (with their status), leases and events (as {@code v1} and as {@code events.k8s.io/v1}) with get, list, watch, create,
 * update, patch and delete; namespaces with get, list, watch and create; SelfSubjectAccessReview; and enough discovery for kubectl. The
 * conformance tests hold it to a real API server.
 *
 * <p>Simplifications: strategic merge patches are taken for merge patches, from which they differ in lists only; JSON patches and
 * server-side apply are unsupported (415); of field selectors only {@code metadata.name} is known; lists are never split ({@code limit});
 * {@code sendInitialEvents} is refused, as by servers that do not know it.
 */
final class InMemoryServer implements TestServer {

    static {
        // The JDK's server writes headers and body separately; with Nagle's algorithm each answer could take 40 ms.
        System.setProperty("sun.net.httpserver.nodelay", "true");
    }

    /** Whom the API server takes clients without credentials for. */
    private static final String USER = "system:anonymous";
    /** The conformance tests show that it behaves like Kubernetes 1.37. */
    private static final int MINOR_VERSION = 37;
    private static final int HISTORY = 10_000;
    private static final List<String> MERGE_PATCHES = List.of("application/merge-patch+json", "application/strategic-merge-patch+json");

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    /** Guarded by {@link #lock}. */
    private final Store store = new Store(Instant::now, () -> UUID.randomUUID().toString(), HISTORY);
    private final Path folder = Folders.temporary("in-memory-server");
    private final Path kubeconfig;
    private final int port;
    private volatile Access access = (verb, resource, namespace, name) -> true;
    private HttpServer http;
    private ExecutorService workers;
    /** How often the server was stopped, so that a watch from before can end. Guarded by {@link #lock}. */
    private int stops;

    /** Decides who may do what. All clients are the same user. */
    @FunctionalInterface
    interface Access {

        /**
         * Whether to allow a request.
         *
         * @param verb      {@code get}, {@code list}, {@code watch}, {@code create}, {@code update}, {@code patch} or {@code delete}
         * @param resource  plural, with its subresource: {@code leases}, {@code pods/status}
         * @param namespace {@code ""} if all or none are meant
         * @param name      {@code ""} if not known, as in create; in list and watch the one that {@code fieldSelector} names
         */
        boolean allows(String verb, String resource, String namespace, String name);
    }

    /** Starts on a free port with the namespace {@code default}. Its threads keep the JVM alive until {@link #close}. */
    InMemoryServer() {
        createNamespace("default");
        store.onRevision(revision -> changed.signalAll());
        listen(0);
        port = http.getAddress().getPort();
        kubeconfig = Folders.write(folder, "kubeconfig", Kubeconfigs.of("default", "server: \"http://127.0.0.1:%d\"".formatted(port), ""));
    }

    @Override
    public String title() {
        return "in-memory API server";
    }

    @Override
    public int minorVersion() {
        return MINOR_VERSION;
    }

    @Override
    public Path kubeconfig() {
        return kubeconfig;
    }

    @Override
    public ApiClient client() {
        try {
            return Config.fromConfig(kubeconfig.toString());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public String newNamespace() {
        var name = "leader-labeler-" + UUID.randomUUID().toString().substring(0, 8);
        withStore(objects -> createNamespace(name));
        return name;
    }

    private Store.Result createNamespace(String name) {
        return store.create(Resource.NAMESPACES, "", Map.of("metadata", Map.of("name", name)));
    }

    /** Sets who may do what, for requests that come later. At first everything is allowed. */
    void allow(Access rule) {
        access = rule;
    }

    /** Does something with the stored objects between two requests and returns its result. */
    <T> T withStore(Function<Store, T> action) {
        lock.lock();
        try {
            return action.apply(store);
        } finally {
            lock.unlock();
        }
    }

    // ------------------------------------------------------------------------------------------------------------ life

    @Override
    public boolean canStop() {
        return true;
    }

    @Override
    public void stopServer() {
        withStore(objects -> {
            changed.signalAll();
            return ++stops;
        });
        http.stop(0);
        workers.shutdownNow();
    }

    /** As a real server after a restart it knows no revisions from before: watches from older versions get 410. */
    @Override
    public void startServer() {
        withStore(objects -> {
            objects.compact(objects.resourceVersion());
            return objects;
        });
        listen(port);
    }

    @Override
    public void close() {
        stopServer();
        if (Files.exists(folder)) {
            Folders.delete(folder);
        }
    }

    private void listen(int wantedPort) {
        try {
            http = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), wantedPort), 0);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        workers = Executors.newVirtualThreadPerTaskExecutor();
        http.setExecutor(workers);
        http.createContext("/", this::handle);
        http.start();
    }

    // ------------------------------------------------------------------------------------------------------------ answers

    private record Reply(int status, Map<String, Object> body) {

        static Reply of(Store.Failed failed) {
            return new Reply(failed.status(), failed.toStatus());
        }
    }

    private void handle(HttpExchange exchange) throws IOException {
        try (exchange) {
            try {
                var request = ApiRequest.read(exchange);
                if (request.isEmpty()) {
                    answerElse(exchange);
                } else if (request.get().verb().equals("watch")) {
                    watch(exchange, request.get());
                } else {
                    send(exchange, answer(request.get()));
                }
            } catch (Refused e) {
                send(exchange, Reply.of(e.failed()));
            } catch (RuntimeException e) {
                send(exchange, Reply.of(Refused.internal(e.toString()).failed()));
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt(); // the server stops
            }
        }
    }

    private void watch(HttpExchange exchange, ApiRequest request) throws IOException, InterruptedException {
        checkAccess(request);
        if (request.query().containsKey("sendInitialEvents")) {
            throw Refused.forbiddenOption("sendInitialEvents",
                    "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
        }
        int born = withStore(objects -> stops);
        var stream = new WatchStream(store, lock, changed, () -> stops != born, request);
        exchange.getResponseHeaders().set("Content-Type", "application/json");
        exchange.sendResponseHeaders(200, 0);
        exchange.getResponseBody().flush();
        stream.sendTo(exchange.getResponseBody());
    }

    private Reply answer(ApiRequest request) {
        checkAccess(request);
        return switch (request.verb()) {
            case "list" -> list(request);
            case "get" -> reply(request, withStore(objects -> objects.get(request.resource(), request.namespace(), request.name())));
            case "create" -> reply(request, create(request));
            case "update" -> reply(request, update(request));
            case "patch" -> reply(request, patch(request));
            case "delete" -> delete(request);
            default -> throw Refused.methodNotAllowed();
        };
    }

    private void checkAccess(ApiRequest request) {
        var resource = request.accessedResource();
        if (!request.verb().isEmpty() && !access.allows(request.verb(), resource, request.namespace(), request.accessedName())) {
            throw Refused.forbidden(USER, request.verb(), request.resource().group, resource, request.namespace(), request.accessedName());
        }
    }

    private static Reply reply(ApiRequest request, Store.Result result) {
        return switch (result) {
            case Store.Ok ok -> new Reply(200, request.shown(ok.object()));
            case Store.Created created -> new Reply(201, request.shown(created.object()));
            case Store.Failed failed -> Reply.of(failed);
        };
    }

    private Reply list(ApiRequest request) {
        var listing = withStore(objects -> objects.list(request.selection()));
        if (request.version() > listing.resourceVersion()) {
            throw Refused.futureVersion(request.version(), listing.resourceVersion());
        }
        var list = new LinkedHashMap<String, Object>();
        list.put("kind", request.resource().kind + "List");
        list.put("apiVersion", request.eventsV1() ? "events.k8s.io/v1" : request.resource().apiVersion);
        list.put("metadata", Map.of("resourceVersion", Long.toString(listing.resourceVersion())));
        // The API server leaves kind and apiVersion out of a list's items, which clients must be able to bear.
        list.put("items", listing.items().stream().map(request::shown)
                .map(object -> Json.with(Json.with(object, "kind", null), "apiVersion", null)).toList());
        return new Reply(200, list);
    }

    private Store.Result create(ApiRequest request) {
        var body = request.tree();
        return withStore(objects -> {
            checkNamespaceExists(objects, request);
            return objects.create(request.resource(), request.namespace(), body);
        });
    }

    private Store.Result update(ApiRequest request) {
        var body = request.tree();
        return withStore(objects -> {
            checkNamespaceExists(objects, request);
            return request.status() ? objects.replaceStatus(request.resource(), request.namespace(), request.name(), body)
                    : objects.replace(request.resource(), request.namespace(), request.name(), body);
        });
    }

    private static void checkNamespaceExists(Store objects, ApiRequest request) {
        if (request.resource() != Resource.NAMESPACES
                && objects.get(Resource.NAMESPACES, "", request.namespace()) instanceof Store.Failed) {
            throw Refused.notFound(Resource.NAMESPACES, request.namespace());
        }
    }

    private Store.Result patch(ApiRequest request) {
        var type = request.contentType() == null ? "" : request.contentType().replaceFirst(";.*", "").strip();
        if (!MERGE_PATCHES.contains(type)) {
            throw Refused.unsupportedMediaType("415: Unsupported Media Type");
        }
        var patch = request.tree();
        return withStore(objects -> request.status()
                ? objects.patchStatus(request.resource(), request.namespace(), request.name(), patch)
                : objects.patch(request.resource(), request.namespace(), request.name(), patch));
    }

    /** Deleted pods are answered with their last state, others with a Status. */
    private Reply delete(ApiRequest request) {
        Map<String, Object> options = request.body().isBlank() ? Map.of() : request.tree();
        var asked = request.query().get("gracePeriodSeconds");
        var grace = asked != null ? Long.valueOf(asked) : Json.at(options, "gracePeriodSeconds") instanceof Long seconds ? seconds : null;
        var deletion = new Store.Deletion(grace, Json.text(options, "preconditions", "uid"),
                Json.text(options, "preconditions", "resourceVersion"));
        var result = withStore(objects -> objects.delete(request.resource(), request.namespace(), request.name(), deletion));
        if (request.resource() == Resource.PODS || !(result instanceof Store.Ok ok)) {
            return reply(request, result);
        }
        var details = new LinkedHashMap<String, Object>(Map.of("name", request.name(), "kind", request.resource().plural,
                "uid", Json.text(ok.object(), "metadata", "uid")));
        if (!request.resource().group.isEmpty()) {
            details.put("group", request.resource().group);
        }
        return new Reply(200, Map.of("kind", "Status", "apiVersion", "v1", "metadata", Map.of(), "status", "Success", "details", details));
    }

    // ------------------------------------------------------------------------------------------------------------ everything else

    private void answerElse(HttpExchange exchange) throws IOException {
        var path = exchange.getRequestURI().getPath();
        switch (path) {
            case "/readyz", "/livez", "/healthz" -> sendText(exchange, 200, "text/plain", "ok");
            case "/version" -> send(exchange, new Reply(200, Map.of("major", "1", "minor", Integer.toString(MINOR_VERSION),
                "gitVersion", "v1." + MINOR_VERSION + ".0+in-memory")));
            case "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" -> send(exchange, review(Json.parse(ApiRequest.body(exchange))));
            default -> {
                var found = Discovery.at(path);
                if (found.isPresent()) {
                    send(exchange, new Reply(200, found.get()));
                } else {
                    sendText(exchange, 404, "text/plain", "404 page not found\n");
                }
            }
        }
    }

    private Reply review(Map<String, Object> review) {
        var asked = Json.object(review, "spec", "resourceAttributes");
        var subresource = Json.text(asked, "subresource");
        var resource = textOr(asked, "resource") + (subresource == null ? "" : "/" + subresource);
        boolean allowed = access.allows(textOr(asked, "verb"), resource, textOr(asked, "namespace"), textOr(asked, "name"));
        return new Reply(201, Json.merge(review, Map.of("status", Map.of("allowed", allowed))));
    }

    private static String textOr(Map<String, Object> tree, String field) {
        var text = Json.text(tree, field);
        return text == null ? "" : text;
    }

    private static void send(HttpExchange exchange, Reply reply) throws IOException {
        sendText(exchange, reply.status, "application/json", Json.print(reply.body));
    }

    private static void sendText(HttpExchange exchange, int status, String type, String text) throws IOException {
        var bytes = text.getBytes(StandardCharsets.UTF_8);
        exchange.getResponseHeaders().set("Content-Type", type);
        exchange.sendResponseHeaders(status, bytes.length);
        exchange.getResponseBody().write(bytes);
    }
}
