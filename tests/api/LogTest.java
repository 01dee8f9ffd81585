import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** What a person on call reads: one line per fact, and never a secret. */
@Tag(SidecarCommand.TAG)
@Patient.WithProcesses
class LogTest {

    private static final int FAILURE = 1;
    private static final int USAGE = 2;
    private static final String TOKEN = "secret-" + UUID.randomUUID();
    private static final String LINE = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}(Z|[-+]\\d\\d:\\d\\d)"
            + " (INFO|WARN|ERROR|DEBUG|TRACE) leader-labeler - .+";

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(ServedGroup.BRISK);
    private static final Path FOLDER = Folders.temporary("kubeconfigs");

    private static ServedSidecar talkative;
    private static ServedSidecar plain;

    /** One that logs all it can, with a token in its kubeconfig, and one that logs what it does by default. */
    @BeforeAll
    static void start() {
        GROUP.group().createPod("web-0");
        GROUP.group().createPod("web-1");
        plain = GROUP.start("web-0");
        talkative = GROUP.start("web-1", kubeconfig("talkative", TOKEN, GROUP.server().client().getBasePath()), "--log-level=trace");
        GROUP.leader();
    }

    @AfterAll
    static void delete() {
        Folders.delete(FOLDER);
    }

    private static List<String> lines(ServedSidecar sidecar) {
        return sidecar.process().log().lines().toList();
    }

    // --- Facts -------------------------------------------------------------------------------------------------------

    @Test
    void the_first_line_tells_version_settings_and_identity() {
        String first = lines(plain).getFirst();
        assertTrue(first.matches(LINE), first);
        for (String setting : List.of("version=", "election=web", "pod=web-0", "namespace=" + GROUP.group().namespace(), "lease=web",
                "leadership-label=web/is-leader", "participation-label=web/participant", "lease-duration=30s", "renew-deadline=20s",
                "retry-period=500ms", "handover=early", "unready-grace=30s", "http-address=127.0.0.1:" + plain.endpoint().port(),
                "deletion-cost=100", "pod-uid=unknown", "role-file=" + plain.roleFile(), "log-level=info")) {
            assertTrue((first + " ").contains(" " + setting + (setting.endsWith("=") ? "" : " ")), setting + " in " + first);
        }
    }

    @Test
    void each_change_of_leadership_is_one_line_with_epoch_duration_and_reason() {
        ServedSidecar old = GROUP.leader();
        int before = lines(plain).size();
        int beforeTalkative = lines(talkative).size();

        ServedSidecar next = GROUP.moveLead();

        String lost = only(old, old == plain ? before : beforeTalkative);
        String won = only(next, next == plain ? before : beforeTalkative);
        assertTrue(lost.matches(".* INFO leader-labeler - stopped leading epoch=\\d+ led=\\d+s reason=\".+\""), lost);
        String epoch = GROUP.witness().pods().get(next.pod()).epoch();
        assertTrue(won.matches(".* INFO leader-labeler - became leader epoch=" + epoch + " took=\\d+ms previous=" + old.pod()), won);
    }

    private static String only(ServedSidecar sidecar, int from) {
        List<String> all = lines(sidecar);
        List<String> facts = all.stream().skip(from).filter(line -> !line.contains(" DEBUG ") && !line.contains(" TRACE ")).toList();
        assertEquals(1, facts.size(), all.toString());
        return facts.getFirst();
    }

    @Test
    void renewals_are_not_logged() {
        while (GROUP.leader() != plain) {
            GROUP.moveLead();
        }
        Wait.until("it says that it leads", Group.SOON, () -> lines(plain).getLast().contains("became leader"));
        List<String> before = lines(plain);
        GROUP.group().awaitRenewals(plain.pod(), 5);
        assertEquals(before, lines(plain), "of the leader");
        GROUP.moveLead();
        Wait.until("it says that it leads no more", Group.SOON, () -> lines(plain).getLast().contains("stopped leading"));
        before = lines(plain);
        GROUP.group().awaitRenewals(talkative.pod(), 5);
        assertEquals(before, lines(plain), "of a follower");
    }

    @Test
    void every_line_begins_with_the_time_and_the_level() {
        for (ServedSidecar sidecar : List.of(plain, talkative)) {
            assertTrue(lines(sidecar).stream().allMatch(line -> line.matches(LINE)), sidecar.process().log());
        }
    }

    // --- Trouble -----------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void an_outage_is_a_few_lines_that_are_not_repeated_and_no_token_is_among_them() {
        try (ServedGroup alone = ServedGroup.ofTest(ServedGroup.BRISK)) {
            alone.group().createPod("web-0");
            Path kubeconfig = kubeconfig("alone", TOKEN, alone.server().client().getBasePath());
            ServedSidecar only = alone.start("web-0", kubeconfig, "--log-level=trace");
            alone.leader();
            int before = lines(only).size();
            alone.server().stopServer();
            Wait.until("many requests fail", Group.SOON, () -> requests(only, "<error>") >= 10);
            alone.server().startServer();
            Wait.until("it leads", Group.SOON, () -> only.endpoint().code("/leader") == 200);
            only.process().term();
            assertEquals(0, only.process().exitCode(Group.SOON));

            List<String> warnings = lines(only).stream().skip(before).filter(line -> line.contains(" WARN ")).toList();
            assertTrue(!warnings.isEmpty() && warnings.size() <= 3, "renewals and two watches: " + warnings);
            assertFalse(only.process().log().contains(TOKEN), only.process().log());
            assertTrue(lines(only).getLast().contains("exit code=0 reason="), only.process().log());
        }
    }

    private static double requests(ServedSidecar sidecar, String code) {
        return sidecar.metrics().families().get("leader_labeler_api_requests_total").samples().entrySet().stream()
                .filter(sample -> sample.getKey().get("code").equals(code)).mapToDouble(Map.Entry::getValue).sum();
    }

    @Test
    void no_token_is_ever_logged() {
        GROUP.moveLead();
        GROUP.moveLead();
        assertTrue(lines(talkative).getFirst().contains("log-level=trace"), lines(talkative).getFirst());
        assertFalse(talkative.process().log().contains(TOKEN) || talkative.process().log().contains("Bearer"), talkative.process().log());
    }

    /** Two tokens that cannot be sent, and one in a file that cannot be read. */
    @ConcurrentTest
    void a_kubeconfig_that_cannot_be_used_is_one_line_without_its_token() {
        List<SidecarProcess> checks = Stream.of("\\u00e4", "\\n", "\", broken: [\"").map(LogTest::checkWithFlaw).toList();
        try {
            for (SidecarProcess check : checks) {
                assertEquals(FAILURE, check.exitCode(Group.SOON), check.log());
                assertFalse(check.log().contains(TOKEN), check.log());
                assertEquals(1, check.log().lines().count(), check.log());
            }
        } finally {
            checks.forEach(SidecarProcess::close);
        }
    }

    private static SidecarProcess checkWithFlaw(String flaw) {
        Path kubeconfig = kubeconfig("flawed-" + flaw.hashCode(), TOKEN + flaw, "http://127.0.0.1:1");
        Map<String, String> environment = Map.of("KUBECONFIG", kubeconfig.toString(), "POD_NAME", "web-0", "POD_NAMESPACE", "default");
        return SidecarProcess.start(environment, "--election-name=web", "--check", "--log-level=trace");
    }

    private static Path kubeconfig(String name, String token, String server) {
        return Folders.write(FOLDER, name, Kubeconfigs.of("server: \"%s\"".formatted(server), "token: \"%s\"".formatted(token)));
    }

    // --- Levels ------------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void at_level_error_nothing_is_said_of_a_normal_life() {
        try (ServedGroup alone = ServedGroup.ofTest(ServedGroup.BRISK)) {
            alone.group().createPod("web-0");
            ServedSidecar only = alone.start("web-0", "--log-level=error");
            alone.leader();
            only.process().term();
            assertEquals(0, only.process().exitCode(Group.SOON));
            assertEquals(List.of(), lines(only));
        }
    }

    @Test
    void a_level_that_does_not_exist_is_bad_usage() {
        Said said = run("--election-name=web", "--pod-name=web-0", "--namespace=default", "--log-level=loud", "--http-address=nowhere");
        assertEquals(USAGE, said.exitCode());
        assertEquals("leader-labeler: --log-level: \"loud\" must be error, warn, info, debug or trace\n", said.text());
    }

    /** What the program said in this JVM, and its exit code. */
    private record Said(int exitCode, String text) {}

    private static Said run(String... arguments) {
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream said = new ByteArrayOutputStream();
        try (PrintStream both = new PrintStream(said, true, StandardCharsets.UTF_8)) {
            System.setOut(both);
            System.setErr(both);
            return new Said(LeaderLabeler.run(arguments), said.toString(StandardCharsets.UTF_8));
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
    }

    // --- Help --------------------------------------------------------------------------------------------------------

    @Test
    void the_version_names_the_program_the_runtime_and_the_libraries() throws IOException {
        Said said = run("--version");
        assertEquals(0, said.exitCode());
        List<String> expected = new ArrayList<>(List.of("leader-labeler " + LeaderLabeler.VERSION, "Java " + Runtime.version()));
        Files.readAllLines(Path.of("LeaderLabeler.java")).stream().filter(line -> line.startsWith("//DEPS "))
                .map(line -> line.substring(line.indexOf(':') + 1).replace(':', ' ')).forEach(expected::add);
        assertEquals(expected, said.text().lines().toList());
    }

    @Test
    void the_help_shows_variables_defaults_and_exit_codes() {
        Said said = run("--help");
        assertEquals(0, said.exitCode());
        String help = said.text();
        String text = help.replaceAll("\\s+", " ");
        for (String wanted : List.of("$POD_NAME", "$POD_NAMESPACE", "KUBECONFIG", "Default: 15s", "Default: 10s", "Default: 2s",
                "Default: early", "Default: :4040", "Default: info", "Default: <election-name>/is-leader",
                "Default: <election-name>/participant", "Default: <election-name>.", "Default: lease-duration",
                "0 stopped as asked", "1 failure", "2 bad usage", "3 --check")) {
            assertTrue(text.contains(wanted), wanted + " in " + help);
        }
    }
}
