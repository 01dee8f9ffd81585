import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.ServerSocket;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.opentest4j.TestAbortedException;

/** What a sidecar's HTTP address shows, where it listens, and what it refuses. */
@Tag(SidecarCommand.TAG)
class HttpEndpointTest {

    private static final int FAILURE = 1;
    private static final List<String> PATHS = List.of("/", "/leader", "/healthz", "/readyz", "/metrics");

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(ServedGroup.BRISK);

    private static final Endpoint PORT = Endpoint.free();
    private static final Endpoint IPV6 = new Endpoint("::1", Endpoint.free().port());

    private static ServerSocket busy;
    private static SidecarProcess onPort;
    private static SidecarProcess onIpv6;
    private static SidecarProcess off;
    private static SidecarProcess onBusyPort;
    private static Instant begin;
    private static ServedSidecar leader;
    private static ServedSidecar follower;

    @BeforeAll
    static void start() throws IOException {
        busy = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
        onPort = started("other-0", "--http-address=:" + PORT.port());
        onIpv6 = started("other-1", IPV6.flag());
        off = started("other-2", "--http-address=off");
        onBusyPort = started("other-3", "--http-address=127.0.0.1:" + busy.getLocalPort());
        begin = Instant.now();
        leader = GROUP.elect(2);
        follower = GROUP.follower();
    }

    /** One in another election than that of the other tests, where it changes nothing. */
    private static SidecarProcess started(String pod, String address) {
        GROUP.group().createPod(pod);
        return SidecarProcess.start(GROUP.server().kubeconfig(), GROUP.group().namespace(), pod, "--election-name=other", address);
    }

    @AfterAll
    static void end() throws IOException {
        List.of(onPort, onIpv6, off, onBusyPort).forEach(SidecarProcess::close);
        busy.close();
    }

    // --- State -------------------------------------------------------------------------------------------------------

    @Test
    void the_state_of_a_leader_begins_with_its_name_and_has_all_fields() {
        Map<String, Object> state = leader.state();

        assertEquals(List.of("name", "self", "leader", "epoch", "since", "participants"), List.copyOf(state.keySet()));
        assertTrue(leader.endpoint().get("/").body().startsWith("{\"name\":\"" + leader.pod() + "\","), state.toString());
        assertEquals("application/json", leader.endpoint().get("/").headers().get("content-type"));
        assertEquals(leader.pod(), state.get("self"));
        assertEquals(true, state.get("leader"));
        assertEquals(GROUP.witness().pods().get(leader.pod()).epoch(), state.get("epoch"), "a string, since epochs may exceed 2^53");
        assertEquals(List.of("web-0", "web-1"), state.get("participants"));
        Instant since = Instant.parse((String) state.get("since"));
        assertTrue(since.isAfter(begin) && since.isBefore(Instant.now()), state.toString());
    }

    @Test
    void the_state_of_a_follower_names_the_leader() {
        Map<String, Object> state = follower.state();
        assertEquals(List.of("name", "self", "leader", "epoch", "since", "participants"), List.copyOf(state.keySet()));
        assertEquals(List.of(leader.pod(), follower.pod(), false, "0", List.of("web-0", "web-1")),
                List.of(state.get("name"), state.get("self"), state.get("leader"), state.get("epoch"), state.get("participants")));
    }

    @Test
    void leader_is_200_on_the_leader_and_503_elsewhere() {
        assertEquals(200, leader.endpoint().get("/leader").code());
        assertEquals(503, follower.endpoint().get("/leader").code());
    }

    @Test
    void probes_do_not_care_who_leads() {
        for (ServedSidecar sidecar : List.of(leader, follower)) {
            assertEquals(200, sidecar.endpoint().get("/healthz").code());
            assertEquals(200, sidecar.endpoint().get("/readyz").code());
        }
    }

    // --- The protocol ------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @ValueSource(strings = {"/", "/leader", "/healthz", "/readyz", "/metrics", "/nowhere"})
    void head_answers_as_get_without_the_body(String path) {
        Endpoint.Answer get = follower.endpoint().get(path);
        Endpoint.Answer head = follower.endpoint().ask("HEAD", path);
        assertEquals(get.code(), head.code());
        assertEquals("", head.body());
        assertEquals(get.headers().get("content-type"), head.headers().get("content-type"));
        int length = Integer.parseInt(head.headers().get("content-length"));
        int tolerance = path.equals("/metrics") ? 200 : 0; // its values have more digits or fewer
        assertTrue(Math.abs(get.body().length() - length) <= tolerance, get.body().length() + " and " + length);
    }

    @ParameterizedTest
    @ValueSource(strings = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "BREW"})
    void other_methods_are_refused_and_change_nothing(String method) {
        long before = GROUP.witness().now();
        for (String path : PATHS) {
            Endpoint.Answer answer = leader.endpoint().ask(method, path);
            assertEquals(405, answer.code(), method + " " + path);
            assertEquals(Set.of("GET", "HEAD"), Set.of(answer.headers().get("allow").split(", ")));
        }
        GROUP.witness().catchUp();
        assertEquals(List.of(), GROUP.witness().writesSince(before));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/nowhere", "/leader/", "/healthz/x", "/Metrics", "/../", "/role.json", "/%2e%2e/etc/passwd", "/index.html"})
    void unknown_paths_are_not_found(String path) {
        assertEquals(404, follower.endpoint().get(path).code());
    }

    @Test
    void a_query_changes_nothing() {
        assertEquals(200, leader.endpoint().get("/leader?x=1").code());
        assertEquals(404, leader.endpoint().get("/nowhere?x=/leader").code());
    }

    /** No answer but 200 is wrong for these; what matters is that the next client is served. */
    @ParameterizedTest
    @ValueSource(strings = {"\0\1\2\r\n\r\n", "\r\n\r\n\r\n", "GET\r\n\r\n", "GET /\r\n\r\n",
        "GET mailto:x HTTP/1.1\r\n\r\n", "GET * HTTP/1.1\r\n\r\n", "GET // HTTP/1.1\r\n\r\n",
        "GET http://[ HTTP/1.1\r\n\r\n", "\u0016\u0003\u0001\u0002\0\1\r\n\r\n", "GET /nowhere HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET /nowhere HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", "GET /nowhere HTTP/1.1\r\n: x\r\n\r\n"})
    void nonsense_is_refused_and_the_next_client_is_served(String nonsense) throws IOException {
        byte[] bytes = nonsense.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").getBytes();
        String answer = follower.endpoint().exchange(bytes, Group.SOON);
        assertFalse(answer.startsWith("HTTP/1.1 200"), answer);
        assertEquals(200, follower.endpoint().probe("/healthz"));
    }

    // --- Where it listens --------------------------------------------------------------------------------------------

    @Test
    void a_port_alone_means_ipv4_and_ipv6() {
        assumeIpv6();
        Endpoint ipv4 = new Endpoint("127.0.0.1", PORT.port());
        Wait.until("it answers", Group.SOON, () -> ipv4.code("/healthz") == 200);
        assertEquals(200, new Endpoint("::1", PORT.port()).get("/healthz").code());
        assertEquals(Set.of(PORT.port()), ListeningSockets.of(onPort.pid()));
    }

    @Test
    void an_ipv6_address_means_just_that() {
        assumeIpv6();
        Wait.until("it answers", Group.SOON, () -> IPV6.code("/healthz") == 200);
        assertFalse(new Endpoint("127.0.0.1", IPV6.port()).isOpen());
        assertEquals(Set.of(IPV6.port()), ListeningSockets.of(onIpv6.pid()));
    }

    @Test
    void off_means_that_nothing_listens() {
        Wait.until("it has its watches", Group.SOON, () -> ListeningSockets.connections(off.pid()) >= 2);
        assertEquals(Set.of(), ListeningSockets.of(off.pid()));
    }

    @Test
    void a_busy_port_is_one_line_and_the_exit_code_of_a_failure() {
        assertEquals(FAILURE, onBusyPort.exitCode(Group.SOON), onBusyPort.log());
        List<String> said = onBusyPort.log().lines().toList();
        assertEquals(1, said.size(), onBusyPort.log());
        assertTrue(said.getFirst().startsWith("leader-labeler: --http-address: "), said.getFirst());
        assertTrue(said.getFirst().contains(":" + busy.getLocalPort()) && said.getFirst().contains("already in use"), said.getFirst());
    }

    @ParameterizedTest
    @CsvSource({":4040, 0.0.0.0 or ::, 4040", "127.0.0.1:0, 127.0.0.1, 0", "[::1]:65535, ::1, 65535", "localhost:80, localhost, 80"})
    void an_address_is_a_host_that_may_be_missing_and_a_port(String text, String host, int port) throws IOException {
        InetSocketAddress address = HttpEndpoint.parse(text);
        assertEquals(port, address.getPort());
        assertTrue(host.contains(" or ") ? address.getAddress().isAnyLocalAddress()
                : address.getAddress().equals(InetAddress.getByName(host)), address.toString());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "4040", ":", ":x", ":-1", ":65536", ":999999", "::1:4040", "[::1]", "[::1]4040", "a:b:4040",
        "http://x:4040", "OFF"})
    void what_is_no_address_is_refused_with_the_rule(String text) {
        String message = assertThrows(IllegalArgumentException.class, () -> HttpEndpoint.parse(text)).getMessage();
        assertTrue(message.startsWith("--http-address: \"" + text + "\" must be [HOST]:PORT"), message);
    }

    private static void assumeIpv6() {
        try {
            assumeTrue(NetworkInterface.getByInetAddress(InetAddress.getByName("::1")) != null, "no IPv6 here");
        } catch (IOException none) {
            throw new TestAbortedException("no IPv6 here", none);
        }
    }
}
