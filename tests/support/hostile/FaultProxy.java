import io.kubernetes.client.openapi.ApiClient;
import io.kubernetes.client.util.ClientBuilder;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import okhttp3.Interceptor;
import okhttp3.OkHttpClient;
import okhttp3.Request;
import okhttp3.Response;
import okio.Buffer;

/**
 * Stands between one sidecar and a real API server, on the loopback interface, and does to its requests what a hostile network or an
 * overloaded server would: {@link HttpFault} by request, or no listener at all for a while.
 *
 * <p>It serves plain HTTP/1.1 to anybody on this machine, with the rights of the client that it is given.
 */
final class FaultProxy implements AutoCloseable {

    private static final AtomicInteger COUNT = new AtomicInteger();

    private final String client;
    private final String pod;
    private final Witness.Keys keys;
    private final FaultLog log;
    private final String upstream;
    private final OkHttpClient http;
    /** Bound but not listening: while nobody listens there, nobody else gets the port. */
    private final Socket reservation = new Socket();
    private final int port;
    private final Set<ProxyConnection> connections = ConcurrentHashMap.newKeySet();
    private final Set<String> wins = ConcurrentHashMap.newKeySet();
    private ServerSocket listener;
    private volatile boolean refusing;
    private volatile boolean cutOff;
    private volatile Function<ProxiedRequest, Optional<HttpFault>> faults = request -> Optional.empty();

    /**
     * Listens at once, and does no harm yet.
     *
     * @param server the real one, with whose rights all requests are made
     * @param pod whose sidecar will come here
     * @param keys labels and annotation of its election
     * @param log where all is noted
     */
    FaultProxy(ApiClient server, String pod, Witness.Keys keys, FaultLog log) {
        this.client = pod + "." + COUNT.incrementAndGet();
        this.pod = pod;
        this.keys = keys;
        this.log = log;
        this.upstream = server.getBasePath();
        this.http = server.getHttpClient().newBuilder().readTimeout(Duration.ZERO).callTimeout(Duration.ZERO)
                .retryOnConnectionFailure(false).build();
        try {
            reservation.setReuseAddress(true);
            reservation.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        this.port = reservation.getLocalPort();
        listen();
    }

    /** Decides, for each request that comes from now on, which fault it meets. */
    void faults(Function<ProxiedRequest, Optional<HttpFault>> decision) {
        faults = decision;
    }

    // --- For the sidecar ---------------------------------------------------------------------------------------------

    /** A name for the process behind this proxy: a pod's sidecars, one after the other, have a proxy each. */
    String client() {
        return client;
    }

    String pod() {
        return pod;
    }

    Witness.Keys keys() {
        return keys;
    }

    private String url() {
        return "http://" + InetAddress.getLoopbackAddress().getHostAddress() + ":" + port;
    }

    /** A client for a sidecar in this JVM. It also notes what finds nobody to connect to. */
    ApiClient apiClient() {
        ApiClient made = new ClientBuilder().setBasePath(url()).build();
        return made.setHttpClient(made.getHttpClient().newBuilder().addInterceptor(this::observe).build());
    }

    /** A kubeconfig for a sidecar process, written into a folder. */
    Path kubeconfig(Path folder) {
        return Folders.write(folder, client + ".kubeconfig", Kubeconfigs.of("server: \"%s\"".formatted(url()), "token: none"));
    }

    /** Sees requests as the sidecar sends them and answers as it gets them, whatever happens in between. */
    private Response observe(Interceptor.Chain chain) throws IOException {
        String caller = Thread.currentThread().getName();
        Request named = chain.request().newBuilder().header(ProxiedRequest.CALLER, caller.isEmpty() ? "worker" : caller).build();
        ProxiedRequest request = recognise(named, caller);
        log.sent(request);
        Response response = chain.proceed(named);
        String retryAfter = response.header("Retry-After");
        if (retryAfter != null) {
            log.toldToWait(request, Integer.parseInt(retryAfter));
        }
        return response;
    }

    private ProxiedRequest recognise(Request request, String caller) throws IOException {
        Buffer body = new Buffer();
        if (request.body() != null) {
            request.body().writeTo(body);
        }
        String query = request.url().encodedQuery();
        String target = request.url().encodedPath() + (query == null ? "" : "?" + query);
        return ProxiedRequest.of(this, request.method(), target, body.readUtf8(), caller);
    }

    // --- Outages, and faults of watches that are open --------------------------------------------------------------------

    /** Resets all connections and refuses new ones until {@link #accept}. What was received already is executed all the same. */
    synchronized void refuse() {
        if (!refusing) {
            refusing = true;
            close(listener);
            connections.forEach(ProxyConnection::reset);
        }
    }

    /** Ends {@link #refuse}. */
    synchronized void accept() {
        if (refusing) {
            listen();
            refusing = false;
        }
    }

    /** Cuts the sidecar off for ever, which is how its crash looks from outside. What was received already is executed all the same. */
    synchronized void cut() {
        cutOff = true;
        close(listener);
        connections.forEach(ProxyConnection::reset);
    }

    /** Does this to the watches that are open; returns to how many. Those that are silent already stay so. */
    int strikeWatches(HttpFault fault) {
        return (int) connections.stream().filter(connection -> connection.strike(fault)).count();
    }

    /** How many watches are open and deliver. */
    long openWatches() {
        return connections.stream().filter(ProxyConnection::isWatch).count();
    }

    @Override
    public synchronized void close() {
        accept();
        cut();
        close(reservation);
        connections.forEach(ProxyConnection::abandon);
    }

    private static void close(AutoCloseable socket) {
        try {
            socket.close();
        } catch (Exception e) {
            throw new IllegalStateException(e);
        }
    }

    // --- Connections -------------------------------------------------------------------------------------------------

    private void listen() {
        try {
            ServerSocket opened = new ServerSocket();
            opened.setReuseAddress(true);
            opened.bind(reservation.getLocalSocketAddress(), 50);
            listener = opened;
            Thread.ofVirtual().name("proxy of " + client).start(() -> acceptAll(opened));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void acceptAll(ServerSocket opened) {
        while (!opened.isClosed()) {
            try {
                ProxyConnection connection = new ProxyConnection(this, opened.accept());
                connections.add(connection);
                Thread.ofVirtual().name("connection of " + client).start(connection);
                if (opened.isClosed()) {
                    connection.reset();
                }
            } catch (IOException closed) {
                return;
            }
        }
    }

    /** The connection is over. */
    void ended(ProxyConnection connection) {
        connections.remove(connection);
    }

    /** Whether nothing that arrives now can have come over the network. */
    boolean isUnreachable() {
        return refusing || cutOff;
    }

    Optional<HttpFault> faultFor(ProxiedRequest request) {
        return faults.apply(request);
    }

    FaultLog log() {
        return log;
    }

    /** Whether this sidecar won the Lease with this acquireTime. */
    boolean hasWon(String acquireTime) {
        return acquireTime != null && wins.contains(acquireTime);
    }

    /** The API server executed a PUT that names this holder's win. */
    void won(String acquireTime) {
        wins.add(acquireTime);
    }

    OkHttpClient http() {
        return http;
    }

    /** URL of the real API server, without a path. */
    String upstream() {
        return upstream;
    }
}
