import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.yaml.snakeyaml.Yaml;

/**
 * The alerts of deploy/monitoring, evaluated by promtool over metrics that real sidecars served: each fires in its state, and none while
 * all is well.
 */
class MonitoringTest {

    private static final Path FOLDER = Path.of("deploy", "monitoring");
    private static final String INSTALL = "go install github.com/prometheus/prometheus/cmd/promtool@v0.316.0";
    private static final Pattern METRIC = Pattern.compile("\\b(leader_election_\\w+|leader_labeler_\\w+)\\b");
    /** Seconds between two scrapes, and two evaluations; the rules are written for it. */
    private static final int INTERVAL = 15;

    private static Map<String, Object> rules;

    @BeforeAll
    static void read() throws IOException {
        Map<String, Object> resource = new Yaml().load(Files.readString(FOLDER.resolve("rules.yaml")));
        rules = Json.object(resource, "spec");
    }

    private static List<Map<String, Object>> alerts() {
        return Json.objects(Json.objects(rules, "groups").getFirst(), "rules");
    }

    // --- The files -----------------------------------------------------------------------------------------------------

    @Test
    void every_alert_has_a_severity_a_summary_and_a_runbook() {
        assertEquals(6, alerts().size());
        for (Map<String, Object> alert : alerts()) {
            assertTrue(Set.of("critical", "warning").contains(Json.text(alert, "labels", "severity")), alert.toString());
            assertTrue(Json.text(alert, "annotations", "summary").endsWith("."), alert.toString());
            assertTrue(Json.text(alert, "annotations", "runbook").length() > 100, alert.toString());
        }
    }

    @Test
    void rules_and_dashboard_use_only_metrics_that_a_sidecar_serves() {
        try (ServedGroup group = ServedGroup.ofTest(ServedGroup.BRISK)) {
            Set<String> served = group.elect(1).metrics().families().keySet();
            Set<String> used = Stream.concat(alerts().stream().map(alert -> Json.text(alert, "expr")), expressions().stream())
                    .flatMap(expression -> METRIC.matcher(expression).results().map(MatchResult::group))
                    .collect(Collectors.toCollection(TreeSet::new));

            assertEquals(Set.of(), used.stream().filter(name -> !served.contains(name)).collect(Collectors.toSet()));
            assertEquals(Set.of(), served.stream().filter(name -> !used.contains(name)).collect(Collectors.toSet()), "shown nowhere");
        }
    }

    @Test
    void promtool_accepts_the_rules_and_all_expressions_of_the_dashboard() {
        List<Map<String, Object>> recorded = new ArrayList<>();
        for (String expression : expressions()) {
            recorded.add(Map.of("record", "dashboard:" + recorded.size(), "expr", expression));
        }
        Path folder = Folders.temporary("rules");
        Folders.write(folder, "rules.json", Json.print(rules));
        Folders.write(folder, "dashboard.json", Json.print(Map.of("groups", List.of(Map.of("name", "dashboard", "rules", recorded)))));

        promtool("check", "rules", "--lint-fatal", folder.resolve("rules.json").toString(), folder.resolve("dashboard.json").toString());
    }

    /** Of all panels, annotations and variables of the dashboard; a variable matches everything. */
    private static List<String> expressions() {
        try {
            Map<String, Object> dashboard = Json.parse(Files.readString(FOLDER.resolve("dashboard.json")));
            Stream<String> panels = Json.objects(dashboard, "panels").stream().flatMap(panel -> Json.objects(panel, "targets").stream())
                    .map(target -> Json.text(target, "expr"));
            Stream<String> annotations = Json.objects(dashboard, "annotations", "list").stream().map(each -> Json.text(each, "expr"));
            Stream<String> variables = Json.objects(dashboard, "templating", "list").stream().map(each -> Json.text(each, "query", "query"))
                    .filter(query -> query != null).map(query -> query.replaceAll("label_values\\((.*), \\w+\\)", "$1"));
            return Stream.of(panels, annotations, variables).flatMap(each -> each).map(each -> each.replaceAll("\\$\\w+", ".*")).toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    // --- The alerts ----------------------------------------------------------------------------------------------------

    @ConcurrentTest
    void no_alert_fires_while_a_group_hands_over_once() {
        try (ServedGroup group = ServedGroup.ofTest(ServedGroup.BRISK)) {
            Scrapes scrapes = new Scrapes(group);
            group.elect(3);
            scrapes.takeAsGrows(5, UPDATES);
            group.moveLead();
            scrapes.takeAsGrows(5, UPDATES);

            assertEquals(Set.of(), scrapes.firing());
        }
    }

    @ConcurrentTest
    void a_group_that_nobody_leads_is_reported_when_the_lease_and_half_a_minute_are_over() {
        try (ServedGroup group = ServedGroup.ofTest(Group.FAST)) {
            Scrapes scrapes = new Scrapes(group);
            group.elect(2);
            scrapes.take(1);
            group.server().allow((verb, resource, namespace, name) -> !(verb.equals("update") && resource.equals("leases")));
            scrapes.await("nobody leads", pods -> sum(pods, LEADS) == 0);

            scrapes.takeAsGrows(3, UPDATES);
            assertTrue(!scrapes.firing().contains("LeaderLabelerNoLeader"), "30 s are not enough");
            scrapes.takeAsGrows(2, UPDATES);
            assertTrue(scrapes.firing().contains("LeaderLabelerNoLeader"), scrapes.firing().toString());
        }
    }

    @ConcurrentTest
    void two_leaders_are_reported_when_they_are_more_than_a_hand_over() {
        try (ServedGroup one = ServedGroup.ofTest(ServedGroup.BRISK); ServedGroup other = ServedGroup.ofTest(ServedGroup.BRISK)) {
            Scrapes scrapes = new Scrapes(one, other);
            one.elect(1);
            other.elect(1);
            scrapes.take(3);
            assertEquals(Set.of(), scrapes.firing());

            scrapes.take(3);

            assertEquals(Set.of("LeaderLabelerTwoLeaders"), scrapes.firing());
        }
    }

    @ConcurrentTest
    void a_leader_that_cannot_renew_is_reported() {
        try (ServedGroup group = ServedGroup.ofTest(Group.FAST)) {
            Scrapes scrapes = new Scrapes(group);
            group.elect(1);
            scrapes.takeAsGrows(2, UPDATES);
            group.server().allow((verb, resource, namespace, name) -> !(verb.equals("update") && resource.equals("leases")));

            scrapes.takeAsGrows(12, UPDATES);

            assertTrue(scrapes.firing().contains("LeaderLabelerCannotRenew"), scrapes.firing().toString());
        }
    }

    @ConcurrentTest
    void an_api_server_that_is_away_is_reported_as_a_leader_that_cannot_renew() {
        try (ServedGroup group = ServedGroup.ofTest(Group.FAST)) {
            Scrapes scrapes = new Scrapes(group);
            group.elect(1);
            scrapes.takeAsGrows(2, UPDATES);
            group.server().stopServer();

            scrapes.takeAsGrows(12, TRIES);

            assertTrue(scrapes.firing().contains("LeaderLabelerCannotRenew"), scrapes.firing().toString());
        }
    }

    @ConcurrentTest
    void refused_label_writes_are_reported() {
        try (ServedGroup group = ServedGroup.ofTest(ServedGroup.BRISK)) {
            Scrapes scrapes = new Scrapes(group);
            group.elect(2);
            scrapes.takeAsGrows(2, UPDATES);
            String follower = group.follower().pod();
            group.server().allow((verb, resource, namespace, name) -> !(verb.equals("patch") && resource.equals("pods")));
            group.server().withStore(store -> store.patch(Resource.PODS, group.group().namespace(), follower,
                    Map.of("metadata", Map.of("labels", Map.of(group.group().keys().leadership(), "true")))));

            scrapes.takeAsGrows(5, REFUSED);

            assertEquals(Set.of("LeaderLabelerWritesRefused"), scrapes.firing());
        }
    }

    @ConcurrentTest
    void labels_that_somebody_keeps_changing_are_reported() {
        try (ServedGroup group = ServedGroup.ofTest(ServedGroup.BRISK)) {
            Scrapes scrapes = new Scrapes(group);
            group.elect(2);
            scrapes.take(1);
            String follower = group.follower().pod();
            for (int i = 0; i < 7; i++) {
                group.group().editLabel(follower, group.group().keys().leadership(), "maybe");
                scrapes.takeAsGrows(1, HEALED);
            }

            assertEquals(Set.of("LeaderLabelerLabelsUndone"), scrapes.firing());
        }
    }

    @ConcurrentTest
    void a_leader_that_changes_often_is_reported() {
        try (ServedGroup group = ServedGroup.ofTest(ServedGroup.BRISK)) {
            Scrapes scrapes = new Scrapes(group);
            group.elect(2);
            scrapes.take(1);
            for (int i = 0; i < 8; i++) {
                group.moveLead();
                scrapes.take(1);
            }

            assertEquals(Set.of("LeaderLabelerChangesOften"), scrapes.firing());
        }
    }

    // --- Scrapes -------------------------------------------------------------------------------------------------------

    private static final Pattern LEADS = Pattern.compile("leader_election_master_status.*");
    private static final Pattern UPDATES = Pattern.compile("leader_labeler_api_requests_total.*resource=\"leases\".*verb=\"update\".*");
    private static final Pattern TRIES = Pattern.compile("leader_labeler_api_requests_total.*resource=\"leases\".*verb=\"(get|update)\".*");
    private static final Pattern REFUSED = Pattern.compile("leader_labeler_label_patches_total.*result=\"failed\".*");
    private static final Pattern HEALED = Pattern.compile("leader_labeler_drift_healed_total.*");

    private static double sum(Map<String, Double> samples, Pattern series) {
        return samples.entrySet().stream().filter(sample -> series.matcher(sample.getKey()).matches()).mapToDouble(Map.Entry::getValue)
                .sum();
    }

    /**
     * Scrapes of all sidecars of one election, which Prometheus would have made {@link #INTERVAL} seconds apart, with the labels that the
     * PodMonitor gives them.
     */
    private static final class Scrapes {
        private final List<ServedGroup> groups;
        private final List<Map<String, Double>> taken = new ArrayList<>();

        /** The test is skipped here, before it takes time, if there is no promtool. */
        Scrapes(ServedGroup... groups) {
            promtool();
            this.groups = List.of(groups);
        }

        /** Takes so many at once: what they show has not changed for that long. */
        void take(int count) {
            for (int i = 0; i < count; i++) {
                taken.add(now());
            }
        }

        /** Takes so many, each when these counters have grown since the one before. */
        void takeAsGrows(int count, Pattern counters) {
            for (int i = 0; i < count; i++) {
                double before = taken.isEmpty() ? 0 : sum(taken.getLast(), counters);
                await(counters + " grows", samples -> sum(samples, counters) > before);
                take(1);
            }
        }

        void await(String what, Predicate<Map<String, Double>> condition) {
            Wait.until(what, Group.START, () -> condition.test(now()));
        }

        private Map<String, Double> now() {
            Map<String, Double> samples = new TreeMap<>();
            for (int i = 0; i < groups.size(); i++) {
                for (ServedSidecar sidecar : groups.get(i).sidecars()) {
                    Map<String, String> target = Map.of("namespace", "shop", "election", "web", "pod", sidecar.pod() + "-of-" + i);
                    sidecar.metrics().families().forEach((name, family) -> family.samples().forEach((labels, value) -> {
                        Map<String, String> all = new TreeMap<>(labels);
                        all.putAll(target);
                        samples.put(name + all.entrySet().stream().map(label -> label.getKey() + "=\"" + label.getValue() + "\"")
                                .collect(Collectors.joining(",", "{", "}")), value);
                    }));
                }
            }
            return samples;
        }

        /** The alerts that fire after the last scrape, by promtool. */
        Set<String> firing() {
            int last = (taken.size() - 1) * INTERVAL;
            return alerts().stream().map(alert -> Json.text(alert, "alert")).filter(alert -> fires(alert, last))
                    .collect(Collectors.toCollection(TreeSet::new));
        }

        /** Promtool tells whether an expectation is met, so it is asked for the opposite: that no alert of this name fires. */
        private boolean fires(String alert, int time) {
            Path folder = Folders.temporary("alert");
            Folders.write(folder, "rules.json", Json.print(rules));
            Path test = Folders.write(folder, "test.json", Json.print(Map.of(
                    "rule_files", List.of("rules.json"),
                    "evaluation_interval", INTERVAL + "s",
                    "tests", List.of(Map.of("interval", INTERVAL + "s", "input_series", series(), "promql_expr_test", List.of(Map.of(
                            "expr", "count(ALERTS{alertname=\"" + alert + "\",alertstate=\"firing\"}) or vector(0)",
                            "eval_time", time + "s",
                            "exp_samples", List.of(Map.of("labels", "{}", "value", 0)))))))));
            Program.Outcome outcome = Program.run(promtool(), "test", "rules", test.toString());
            String said = outcome.output() + outcome.errors();
            assertTrue(outcome.code() == 0 || said.contains("exp:"), said);
            return outcome.code() != 0;
        }

        private List<Map<String, Object>> series() {
            Set<String> names = taken.stream().map(Map::keySet).flatMap(Collection::stream).collect(Collectors.toCollection(TreeSet::new));
            return names.stream().map(name -> Map.<String, Object>of("series", name, "values", taken.stream()
                    .map(samples -> Optional.ofNullable(samples.get(name)).map(Scrapes::print).orElse("_"))
                    .collect(Collectors.joining(" ")))).toList();
        }

        private static String print(double value) {
            return Double.isNaN(value) ? "NaN" : value == Math.rint(value) ? Long.toString((long) value) : Double.toString(value);
        }
    }

    // --- promtool ------------------------------------------------------------------------------------------------------

    /** The test is skipped where it is not installed. */
    private static String promtool() {
        assumeTrue(Program.onPath("promtool").isPresent(), "promtool is not on the PATH; install it by: " + INSTALL);
        return "promtool";
    }

    private static void promtool(String... arguments) {
        List<String> command = new ArrayList<>(List.of(promtool()));
        command.addAll(List.of(arguments));
        Program.Outcome outcome = Program.run(Map.of(), command);
        assertEquals(0, outcome.code(), outcome.output() + outcome.errors());
    }
}
