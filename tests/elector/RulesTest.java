import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The rules that settings obey: client-go's for the timing, Go's for durations, Kubernetes' for names and keys, with their own cases. */
class RulesTest {

    // --- Timing ------------------------------------------------------------------------------------------------------

    /** Those of client-go's NewLeaderElector and of component-base's TestValidateLeaderElectionConfiguration, and the edges beside them. */
    @ParameterizedTest
    @CsvSource({
        "15s, 10s,     2s",
        "30s, 15s,     5s",
        "3s,  2s,      500ms",
        "3s,  2999ms,  500ms",
        "12s, 6001ms,  5s",
        "1s,  900ms,   1ms",
        "1h,  3599s,   5m",
    })
    void timing_that_client_go_accepts_is_accepted(String lease, String renew, String retry) {
        Config config = timing(lease, renew, retry);
        assertTrue(config.leaseDuration().compareTo(config.renewDeadline()) > 0);
    }

    /** The flag that is named is the one to change, so its rule names the other. */
    @ParameterizedTest
    @CsvSource({
        "30s,    30s,  5s,   --renew-deadline, must be less than --lease-duration",
        "30s,    45s,  5s,   --renew-deadline, must be less than --lease-duration",
        "30s,    15s,  15s,  --retry-period,   must be less than --renew-deadline / 1.2",
        "15s,    12s,  10s,  --retry-period,   must be less than --renew-deadline / 1.2",
        "30s,    15s,  20s,  --retry-period,   must be less than --renew-deadline / 1.2",
        "30s,    15s,  0s,   --retry-period,   must be more than 0s",
        "30s,    0s,   5s,   --retry-period,   must be less than --renew-deadline / 1.2",
        "0s,     15s,  5s,   --lease-duration, must be whole seconds",
        "2500ms, 2s,   1s,   --lease-duration, must be whole seconds",
        "900ms,  2ms,  1ms,  --lease-duration, must be whole seconds",
        "3601s,  10s,  2s,   --lease-duration, from 1s to 1h",
        "2h,     10s,  2s,   --lease-duration, from 1s to 1h",
    })
    void timing_that_breaks_a_rule_is_refused(String lease, String renew, String retry, String flag, String rule) {
        String message = assertThrows(IllegalArgumentException.class, () -> timing(lease, renew, retry)).getMessage();
        assertTrue(message.startsWith(flag + ": ") && message.contains(rule), message);
    }

    private static Config timing(String lease, String renew, String retry) {
        return TestConfig.config().timing(duration(lease), duration(renew), duration(retry)).build();
    }

    private static Duration duration(String text) {
        return Config.duration("--any", text);
    }

    // --- Durations ---------------------------------------------------------------------------------------------------

    /** Those of Go's time package, as far as they make sense here. */
    @ParameterizedTest
    @CsvSource({
        "0,                0",
        "5s,               5000000000",
        "30s,              30000000000",
        "1478s,            1478000000000",
        "5.0s,             5000000000",
        "5.6s,             5600000000",
        "5.s,              5000000000",
        ".5s,              500000000",
        "1.00s,            1000000000",
        "1.004s,           1004000000",
        "100.00100s,       100001000000",
        "10ns,             10",
        "11us,             11000",
        "12µs,             12000",
        "12μs,             12000",
        "13ms,             13000000",
        "14s,              14000000000",
        "15m,              900000000000",
        "16h,              57600000000000",
        "3h30m,            12600000000000",
        "10.5s4m,          250500000000",
        "1h2m3s4ms5us6ns,  3723004005006",
        "39h9m14.425s,     140954425000000",
        "0.3333333333333333333h, 1200000000000",
    })
    void durations_are_read_as_go_reads_them(String text, long nanos) {
        assertEquals(Duration.ofNanos(nanos), duration(text));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "3", "-", "s", ".", "-.", ".s", "+.s", "1d", "1w", "hello", "3s hello", " 3s", "3s ", "3 s", "3S", "1h-2m",
        "1,5s", "PT15S", "-15s", "-0.5s", "infinity", "NaN", "9223372036854775808ns", "3000000h", "1e3s", "0x10s", "١s"})
    void what_is_no_duration_is_refused(String text) {
        String message = assertThrows(IllegalArgumentException.class, () -> Config.duration("--retry-period", text)).getMessage();
        assertEquals("--retry-period: \"" + text + "\" must be a duration such as 15s, 500ms or 1m30s", message);
    }

    // --- Numbers -----------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @CsvSource({"0, 0", "100, 100", "007, 7", "2147483647, 2147483647"})
    void whole_numbers_are_read(String text, int number) {
        assertEquals(number, Config.wholeNumber("--deletion-cost", text));
        assertEquals(number, TestConfig.config().deletionCost(number).build().deletionCost());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "-1", "+1", "1.5", "1e3", "ten", "0x10", " 1", "1\n", "١", "2147483648", "99999999999999999999"})
    void what_is_no_whole_number_is_refused(String text) {
        assertRefused("--deletion-cost", text, () -> Config.wholeNumber("--deletion-cost", text));
    }

    @Test
    void a_negative_deletion_cost_is_refused() {
        assertRefused("--deletion-cost", "-1", () -> TestConfig.config().deletionCost(-1).build());
    }

    // --- Identity ----------------------------------------------------------------------------------------------------

    @Test
    void a_token_tells_the_uid_of_the_pod_that_it_is_bound_to() {
        String token = token("""
                {"aud": ["https://kubernetes"], "exp": 1795000000, "iat": 1763464000, "kubernetes.io": {"namespace": "default",
                "node": {"name": "node-1", "uid": "n-1"}, "pod": {"name": "web-0", "uid": "6b8a11e4-1c8a-4a36-8b6f-2f9f0d1b8b5e"},
                "serviceaccount": {"name": "web", "uid": "s-1"}, "warnafter": 1763467607}, "sub": "system:serviceaccount:default:wéb"}""");
        assertEquals("6b8a11e4-1c8a-4a36-8b6f-2f9f0d1b8b5e", Environment.podUidInToken(token, "web-0"));
        assertNull(Environment.podUidInToken(token, "web-1"), "another pod's");
        assertNull(Environment.podUidInToken(token, null));
    }

    @ParameterizedTest
    @ValueSource(strings = {"{}", "[]", "null", "nonsense", "{\"kubernetes.io\": {}}", "{\"kubernetes.io\": {\"pod\": {}}}",
        "{\"kubernetes.io\": {\"pod\": {\"uid\": \"u\"}}}", "{\"kubernetes.io\": {\"pod\": {\"name\": \"web-0\"}}}",
        "{\"kubernetes.io\": \"web-0\"}"})
    void a_token_that_is_bound_to_no_pod_tells_no_uid(String payload) {
        assertNull(Environment.podUidInToken(token(payload), "web-0"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ".", "a.b", "..", "no token", "a.%%%.c"})
    void what_is_no_token_tells_no_uid(String text) {
        assertNull(Environment.podUidInToken(text, "web-0"));
    }

    private static String token(String payload) {
        return Stream.of("{\"alg\": \"RS256\"}", payload, "signature").map(part ->
                Base64.getUrlEncoder().withoutPadding().encodeToString(part.getBytes(StandardCharsets.UTF_8)))
                .collect(Collectors.joining("."));
    }

    // --- Names and keys ------------------------------------------------------------------------------------------------

    @ParameterizedTest
    @MethodSource
    void election_names_that_are_rfc_1035_labels_are_accepted(String name) {
        assertEquals(name, named(name, "web-0", "default").election());
    }

    static Stream<String> election_names_that_are_rfc_1035_labels_are_accepted() {
        return Stream.of("a", "ab", "abc", "a1", "a-1", "a--1--2--b", "a".repeat(63));
    }

    @ParameterizedTest
    @MethodSource
    void other_election_names_are_refused(String name) {
        assertRefused("--election-name", name, () -> named(name, "web-0", "default"));
    }

    static Stream<String> other_election_names_are_refused() {
        return Stream.of("0", "01", "1a", "1-a", "", "A", "aBc", "A-1", "-", "a-", "-a", "_", "a_b", ".", "a.", "a.b", " ", "a ", " a",
                "a b", "ä", "a\n", "a/b", "a".repeat(64));
    }

    @ParameterizedTest
    @MethodSource
    void pod_names_are_subdomains(String good, String bad) {
        assertEquals(good, named("web", good, "default").pod());
        assertRefused("--pod-name", bad, () -> named("web", bad, "default"));
    }

    static Stream<Arguments> pod_names_are_subdomains() {
        return Stream.of(pair("web-0", "web_0"), pair("0", ""), pair("web.example.com", "web..com"), pair("1a", "Web-0"),
                pair("a".repeat(253), "a".repeat(254)), pair("web-6d4cf56db6-x2x9z", "web-0/x"), pair("a", "-a"), pair("a", "a\n"));
    }

    @ParameterizedTest
    @MethodSource
    void namespaces_are_rfc_1123_labels(String good, String bad) {
        assertEquals(good, named("web", "web-0", good).namespace());
        assertRefused("--namespace", bad, () -> named("web", "web-0", bad));
    }

    static Stream<Arguments> namespaces_are_rfc_1123_labels() {
        return Stream.of(pair("default", "Default"), pair("kube-system", "kube.system"), pair("1", ""),
                pair("a".repeat(63), "a".repeat(64)));
    }

    @Test
    void what_nobody_gives_is_asked_for_by_flag_and_variable() {
        String message = assertThrows(IllegalArgumentException.class, () -> named("web", null, "default")).getMessage();
        assertTrue(message.startsWith("--pod-name: (not given) must ") && message.contains("POD_NAME"), message);
        message = assertThrows(IllegalArgumentException.class, () -> named("web", "web-0", null)).getMessage();
        assertTrue(message.startsWith("--namespace: (not given) must ") && message.contains("POD_NAMESPACE"), message);
    }

    @ParameterizedTest
    @MethodSource
    void label_keys_that_kubernetes_accepts_are_accepted(String key) {
        assertEquals(key, labelled(key, "web/participant").leadershipLabel());
        assertEquals(key, labelled("web/is-leader", key).participationLabel());
    }

    static Stream<String> label_keys_that_kubernetes_accepts_are_accepted() {
        return Stream.of("simple", "now-with-dashes", "1-starts-with-num", "1234", "simple/simple", "now-with-dashes/now-with-dashes",
                "now.with.dots/simple", "now-with.dashes-and.dots/simple", "1-num.2-num/3-num", "1234/5678", "1.2.3.4/5678",
                "Uppercase_Is_OK_123", "example.com/Uppercase_Is_OK_123", "requests.storage-foo", "a".repeat(63),
                "a".repeat(253) + "/" + "b".repeat(63));
    }

    @ParameterizedTest
    @MethodSource
    void label_keys_that_kubernetes_refuses_are_refused(String key) {
        assertRefused("--leadership-label", key, () -> labelled(key, "web/participant"));
        assertRefused("--participation-label", key, () -> labelled("web/is-leader", key));
    }

    static Stream<String> label_keys_that_kubernetes_refuses_are_refused() {
        return Stream.of("nospecialchars%^=@", "cantendwithadash-", "-cantstartwithadash-", "only/one/slash", "Example.com/abc",
                "example_com/abc", "example.com/", "/simple", "", "a b", "simple\n", "a".repeat(64), "example.com/" + "a".repeat(64),
                "a".repeat(254) + "/abc");
    }

    @ParameterizedTest
    @ValueSource(strings = {"web/is-leader", "leader"})
    void one_key_cannot_be_both_labels(String key) {
        assertRefused("--participation-label", key, () -> labelled(key, key));
    }

    @ParameterizedTest
    @ValueSource(strings = {"web/is-leader", "web/participant", "db.web/is-leader", "db/leader", "is-leader", "example.com/is-leader"})
    void a_label_may_be_shared_unless_it_is_a_default_of_another_election(String key) {
        assertEquals(key, labelled(key, "role").leadershipLabel());
        for (String other : List.of("db/is-leader", "db/participant")) {
            assertRefused("--leadership-label", other, () -> labelled(other, key));
            assertRefused("--participation-label", other, () -> labelled(key, other));
        }
    }

    private static Config named(String election, String pod, String namespace) {
        return TestConfig.config().election(election).pod(pod).namespace(namespace).build();
    }

    private static Config labelled(String leadership, String participation) {
        return TestConfig.config().leadershipLabel(leadership).participationLabel(participation).build();
    }

    private static Arguments pair(String good, String bad) {
        return Arguments.of(good, bad);
    }

    private static void assertRefused(String flag, String value, Executable making) {
        String message = assertThrows(IllegalArgumentException.class, making).getMessage();
        assertTrue(message.startsWith(flag + ": \"" + value + "\" must "), message);
    }
}
