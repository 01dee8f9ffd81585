import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;

/** Tokens that change while a sidecar runs: those in a file, and those of an exec plugin. Each test has an API server of its own. */
@Tag(SidecarCommand.TAG)
@Patient.FromTheStart
class CredentialsTest {

    /** For what takes a second on a machine that has nothing else to do. */
    private static final Duration PATIENCE = Duration.ofMinutes(5);
    private static final Certificates AUTHORITY = new Certificates();

    private final Path folder = Folders.temporary("credentials");
    private final SecureServer server = new SecureServer(AUTHORITY);
    /** Of the tokens that the plugin prints, the server takes those from this number on, until they expire. */
    private final AtomicInteger firstValid = new AtomicInteger();

    @AfterEach
    void end() {
        server.close();
        Folders.delete(folder);
    }

    private Path write(String name, String content) throws IOException {
        Path file = folder.resolve(name);
        Files.createDirectories(file.getParent());
        return Files.writeString(file, content);
    }

    private Path kubeconfig(String user) throws IOException {
        return write("config", Kubeconfigs.of(server.cluster(), user));
    }

    private static SidecarProcess sidecar(Path kubeconfig) {
        return SidecarProcess.start(Map.of("KUBECONFIG", kubeconfig.toString(), "POD_NAME", "web-0", "POD_NAMESPACE", "default"),
                ConnectionTest.BRISK.toArray(String[]::new));
    }

    private static List<String> check(Path kubeconfig) throws IOException {
        return ConnectionTest.Check.lines(Map.of("KUBECONFIG", kubeconfig.toString()));
    }

    private Set<String> users() {
        return server.requests().stream().map(request -> String.valueOf(request.user())).collect(Collectors.toSet());
    }

    private boolean isLeader() {
        return server.objects().withStore(store -> store.get(Resource.PODS, "default", "web-0") instanceof Store.Ok ok
                && "true".equals(Json.text(ok.object(), "metadata", "labels", "web/is-leader")));
    }

    // --- Files -------------------------------------------------------------------------------------------------------

    @Test
    void a_token_file_is_read_again_each_minute() throws IOException {
        server.register("Bearer first", "user-1");
        server.register("Bearer second", "user-2");
        write("token", "first");
        try (SidecarProcess sidecar = sidecar(kubeconfig("tokenFile: token"))) {
            Wait.until("the first token is used", PATIENCE, () -> users().contains("user-1"));
            write("token", "second");
            Wait.until("the second token is used", PATIENCE, () -> users().contains("user-2"));
            assertFalse(sidecar.log().contains("401"), sidecar.log());
        }
    }

    // --- Exec plugins ------------------------------------------------------------------------------------------------

    /**
     * A plugin whose tokens {@code <number>.<second in which they expire>} live for some seconds, as user {@code user-<number>}. A file
     * {@code fail} beside it makes it fail, {@code hang} makes it hang.
     */
    private Path plugin(int lifeSeconds) throws IOException {
        Path script = write("bin/plugin", """
                #!/bin/sh
                cd "$(dirname "$0")"
                n=$(($(cat runs 2>/dev/null || echo 0) + 1))
                echo $n >runs
                date +%%s >>begun
                printf '%%s\\n' "$KUBERNETES_EXEC_INFO" >info
                printf '%%s\\n' "$GREETING $*" >said
                if [ -e hang ]; then sleep 600; fi
                if [ -e fail ]; then echo "no session" >&2; exit 3; fi
                end=$(($(date +%%s) + %d))
                time=$(date -u -d "@$end" +%%Y-%%m-%%dT%%H:%%M:%%SZ 2>/dev/null || date -u -r "$end" +%%Y-%%m-%%dT%%H:%%M:%%SZ)
                cat <<END
                {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
                 "status": {"token": "$n.$end", "expirationTimestamp": "$time"}}
                END
                """.formatted(lifeSeconds));
        Files.setPosixFilePermissions(script, PosixFilePermissions.fromString("rwxr-xr-x"));
        server.decideTokens(token -> {
            String[] parts = token.split("\\.");
            return Integer.parseInt(parts[0]) >= firstValid.get() && Instant.now().getEpochSecond() < Long.parseLong(parts[1])
                    ? "user-" + parts[0] : null;
        });
        return kubeconfig("exec: {apiVersion: client.authentication.k8s.io/v1, command: ./bin/plugin, args: [get, token],"
                + " env: [{name: GREETING, value: hello}], provideClusterInfo: true}");
    }

    private int runs() {
        try {
            return Integer.parseInt(Files.readString(folder.resolve("bin/runs")).strip());
        } catch (IOException | NumberFormatException notYet) {
            return 0;
        }
    }

    @Test
    void the_token_of_a_plugin_is_renewed_before_it_expires() throws IOException {
        int life = 40;
        try (SidecarProcess sidecar = sidecar(plugin(life))) {
            Wait.until("a third token is used", PATIENCE, () -> users().contains("user-3"));
            List<Long> begun = Files.readAllLines(folder.resolve("bin/begun")).stream().map(Long::valueOf).toList();
            assertTrue(begun.get(1) < begun.get(0) + life && begun.get(2) < begun.get(1) + life, "runs of the plugin at " + begun);
            assertTrue(begun.get(1) > begun.get(0) + life / 2, "runs of the plugin at " + begun);
            assertFalse(sidecar.log().contains("exec plugin"), sidecar.log());
        }
    }

    @Test
    void a_401_makes_the_plugin_run_again_and_no_request_is_lost() throws IOException {
        try (SidecarProcess sidecar = sidecar(plugin(3600))) {
            Wait.until("web-0 leads", PATIENCE, this::isLeader);
            awaitPauseOfPlugin();
            int next = runs() + 1;
            firstValid.set(next);
            Wait.until("the next token is used", PATIENCE, () -> users().contains("user-" + next));
            assertFalse(sidecar.log().contains("401 Unauthorized"), sidecar.log());
        }
    }

    /** Two runs have five seconds between them, so that a server which refuses all is not answered by a storm of processes. */
    private void awaitPauseOfPlugin() throws IOException {
        Instant ran = Files.getLastModifiedTime(folder.resolve("bin/runs")).toInstant();
        Wait.until("the plugin may run again", PATIENCE, () -> Instant.now().isAfter(ran.plusSeconds(6)));
    }

    @Test
    void a_plugin_that_fails_is_one_line_and_is_run_again() throws IOException {
        Path kubeconfig = plugin(3600);
        assertRecovers(kubeconfig, "exit code 3: no session", write("bin/fail", ""));
    }

    @Test
    void a_plugin_that_hangs_is_one_line_and_is_run_again() throws IOException {
        Path kubeconfig = plugin(3600);
        assertRecovers(kubeconfig, "no answer within 15s", write("bin/hang", ""));
    }

    private void assertRecovers(Path kubeconfig, String why, Path obstacle) throws IOException {
        try (SidecarProcess sidecar = sidecar(kubeconfig)) {
            sidecar.awaitLog(why, PATIENCE);
            List<String> warnings = sidecar.log().lines().filter(line -> line.contains(why)).toList();
            assertEquals(1, warnings.size(), sidecar.log());
            assertTrue(warnings.getFirst().contains("exec plugin \"" + folder.resolve("bin/plugin")), warnings.getFirst());
            assertFalse(sidecar.log().contains("\tat "), sidecar.log());
            Files.delete(obstacle);
            Wait.until("web-0 leads", PATIENCE, this::isLeader);
        }
    }

    /** The leader goes on with the token that it has, for as long as that is valid. */
    @Test
    void a_plugin_that_hangs_while_its_last_token_is_valid_keeps_no_leader_from_renewing() throws IOException {
        try (SidecarProcess sidecar = sidecar(plugin(100))) {
            Wait.until("web-0 leads", PATIENCE, this::isLeader);
            write("bin/hang", "");
            sidecar.awaitLog("no answer within 15s; trying again, the token is valid until", PATIENCE);
            assertFalse(sidecar.log().contains("stopped leading"), sidecar.log());
            assertTrue(isLeader());
        }
    }

    @Test
    void a_plugin_gets_its_arguments_its_variables_and_what_it_may_know_of_the_cluster() throws IOException {
        String connection = check(plugin(3600)).getFirst();
        assertTrue(connection.startsWith("ok      connected to " + server.url() + " as user-"), connection);
        assertEquals("hello get token", Files.readString(folder.resolve("bin/said")).strip());
        Map<String, Object> info = Json.parse(Files.readString(folder.resolve("bin/info")));
        assertEquals("client.authentication.k8s.io/v1", Json.text(info, "apiVersion"));
        assertEquals(server.url(), Json.text(info, "spec", "cluster", "server"));
        assertEquals(Kubeconfigs.base64(AUTHORITY.authorityPem()), Json.text(info, "spec", "cluster", "certificate-authority-data"));
    }

    @Test
    void a_plugin_that_does_not_exist_is_one_line() throws IOException {
        Path kubeconfig = kubeconfig("exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin}");
        String said = LeaderLabeler.firstLine(assertThrows(IOException.class, () -> check(kubeconfig)).getMessage());
        for (String text : List.of(server.url(), "exec plugin \"no-such-plugin\"", "No such file")) {
            assertTrue(said.contains(text), text + " in: " + said);
        }
    }
}
