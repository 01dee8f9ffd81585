import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.Test;

/** What the benchmark makes of what it has measured. */
class FiguresTest {

    private final Timeline timeline = new Timeline();

    @Test
    void a_quantile_is_a_value_that_was_measured() {
        Samples samples = new Samples();
        for (double value : new double[] {4, 1, 3, 2, 10, 6, 5, 7, 9, 8}) {
            samples.add(value);
        }

        assertEquals(5, samples.median());
        assertEquals(9, samples.quantile(0.9));
        assertEquals(10, samples.max());
    }

    @Test
    void what_did_not_happen_is_later_than_all_that_did() {
        Samples samples = new Samples();
        samples.add(Double.POSITIVE_INFINITY);
        samples.add(2);
        samples.add(1);

        assertEquals(2, samples.median());
        assertEquals(Double.POSITIVE_INFINITY, samples.max());
    }

    @Test
    void without_samples_there_is_no_quantile() {
        assertEquals(Double.NaN, new Samples().median());
    }

    @Test
    void the_label_of_a_dead_leader_leads_to_nobody() {
        alive(0, "web-0", true);
        alive(0, "web-1", true);
        labelled(10, "web-0", true);
        alive(100, "web-0", false);
        labelled(160, "web-0", false);
        labelled(170, "web-1", true);

        assertEquals(70, timeline.withoutLiveLeader(50, 500));
        assertEquals(5, timeline.withoutLiveLeader(165, 500));
        assertEquals(20, timeline.withoutLiveLeader(100, 120));
        assertEquals(0, timeline.withTwoLeaders(0, 500));
    }

    @Test
    void two_leaders_count_for_as_long_as_both_are_labelled_whether_they_live_or_not() {
        labelled(10, "web-0", true);
        labelled(20, "web-1", true);
        labelled(50, "web-0", false);

        assertEquals(30, timeline.withTwoLeaders(0, 500));
        assertEquals(10, timeline.withTwoLeaders(40, 500));
        assertEquals(500, timeline.withoutLiveLeader(0, 500));
    }

    @Test
    void a_sidecar_that_is_thawed_lives_again() {
        alive(0, "web-0", true);
        labelled(10, "web-0", true);
        alive(20, "web-0", false);
        alive(60, "web-0", true);

        assertEquals(40, timeline.withoutLiveLeader(10, 500));
    }

    private void labelled(long at, String pod, boolean on) {
        timeline.note(at, pod, Timeline.State.LABELLED, on);
    }

    private void alive(long at, String pod, boolean on) {
        timeline.note(at, pod, Timeline.State.ALIVE, on);
    }
}
