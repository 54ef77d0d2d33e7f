//! One suite of scenarios, carried out by both transports against the simulator over real sockets.
//!
//! A scenario is a function that is generic over the [`Adapter`](adapter::Adapter); the list at the end
//! of this file makes two tests of each.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics has failed")]

mod adapter;
mod answers;
mod checks;
mod downloads;
mod durability;
mod events;
mod inputs;
mod resuming;
mod store;
mod variants;
mod world;

/// Two tests of each scenario: one a transport.
macro_rules! scenarios {
    ($($module:ident: $($scenario:ident)*;)*) => {
        mod blocking {
            $(mod $module { $(
                #[test]
                fn $scenario() {
                    crate::$module::$scenario::<crate::adapter::Blocking>();
                }
            )* })*
        }
        mod asynchronous {
            $(mod $module { $(
                #[test]
                fn $scenario() {
                    crate::$module::$scenario::<crate::adapter::Async>();
                }
            )* })*
        }
    };
}

scenarios! {
    answers:
        an_export_goes_from_ids_to_an_archive
        a_refusal_is_told_with_what_the_service_said
        an_unknown_banner_is_named
        a_throttled_request_waits_as_long_as_it_is_told
        a_bare_429_is_probed_once
        a_long_cool_off_is_final_at_once
        a_plan_restriction_is_final
        a_server_error_is_never_asked_again
        an_answer_that_is_lost_after_acceptance_is_settled_by_the_event
        an_answer_that_is_lost_before_acceptance_is_unknown
        a_throttled_request_that_then_meets_a_5xx_is_not_repeated
        an_answer_that_is_too_slow_is_settled_by_the_event
        a_service_that_is_not_there_was_never_asked
        a_connection_that_does_not_come_about_has_a_time_out_of_its_own
        creating_an_export_alone_returns_its_id
        a_redirect_is_not_followed_with_the_key
        the_signing_secret_is_read_rotated_and_revoked;
    checks:
        a_check_of_what_works_finds_nothing
        a_wrong_key_is_found
        a_service_that_is_not_there_is_found
        a_callback_url_that_leads_elsewhere_is_found
        a_callback_url_that_leads_nowhere_is_found
        a_proxy_that_changes_deliveries_or_answers_is_found
        a_clock_that_differs_is_found
        a_folder_that_is_not_writable_is_found;
    events:
        an_event_before_the_answer_completes_the_export
        a_repeated_event_is_acknowledged_and_changes_nothing
        a_forged_event_is_refused_and_the_genuine_one_taken
        an_event_of_another_export_is_acknowledged
        an_event_of_another_type_is_acknowledged
        a_contradicting_event_is_not_obeyed
        an_event_that_never_comes_is_a_deadline
        an_event_that_comes_after_its_deadline_is_not_acknowledged
        an_event_during_a_call_that_is_then_lost_is_not_lost_with_it
        without_a_token_the_export_id_finds_the_job
        without_a_token_an_event_before_the_answer_is_held
        unsigned_deliveries_are_protected_by_the_token
        waiting_alone_returns_the_event
        several_exports_at_once_get_their_own_archives
        an_unknown_address_and_a_wrong_token_are_not_found;
    durability:
        a_job_goes_on_after_a_crash_at_any_moment
        a_request_that_may_have_been_sent_is_not_sent_again_after_a_crash
        an_event_that_was_acknowledged_outlives_the_process
        an_event_that_comes_while_nobody_is_there_comes_again
        a_delivery_is_not_acknowledged_while_saving_fails
        what_cannot_be_saved_is_not_asked_for
        an_archive_that_cannot_be_stored_is_downloaded_later_without_another_request
        two_exporters_do_not_share_a_file;
    downloads:
        a_download_that_breaks_off_is_repeated
        a_download_that_stalls_is_repeated
        a_server_error_during_the_download_is_repeated
        a_store_that_is_too_busy_is_asked_again
        an_archive_that_is_gone_is_said_to_be_gone
        an_error_page_with_status_200_is_no_archive
        a_truncated_archive_that_looks_whole_is_no_archive
        an_address_that_is_not_absolute_is_refused
        an_address_in_a_private_network_is_refused
        nothing_is_fetched_from_outside_a_list_that_was_given
        every_call_and_every_download_can_be_watched
        a_folder_that_is_not_there_is_said_so
        an_archive_is_unpacked_into_pictures
        banners_the_service_does_not_know_are_missing
        banners_that_an_archive_lacks_are_named
        a_banner_that_is_ordered_twice_is_one_banner;
    resuming:
        an_archive_that_is_cut_at_every_byte_is_resumed
        a_job_resumes_by_itself_and_says_from_where
        a_download_that_is_cut_every_100_kb_comes_whole
        a_download_below_the_minimum_rate_is_aborted_and_resumed
        what_stalled_is_resumed
        the_first_byte_has_a_time_out_of_its_own
        a_store_that_says_nothing_is_given_up
        what_does_not_fit_any_more_is_fetched_anew
        a_length_that_is_wrong_is_found_out
        without_a_strong_validator_nothing_is_kept
        a_date_that_has_settled_is_as_good_as_a_tag
        a_rest_that_does_not_fit_is_not_appended
        more_than_was_announced_is_not_kept
        an_encoded_body_is_refused_by_name
        an_archive_that_is_gone_leaves_nothing_of_itself
        redirects_are_followed_and_counted
        a_redirect_into_a_private_network_is_refused
        what_a_killed_process_leaves_is_resumed
        a_full_disk_is_a_typed_error_and_gets_its_room_back
        a_full_disk_leaves_no_half_unpacked_folder;
    variants:
        a_byte_order_mark_hides_nothing
        the_case_of_an_export_id_makes_no_difference
        an_event_may_be_wrapped
        an_address_is_mended_where_every_client_mends_it
        a_redirect_is_resolved_as_every_client_does
        a_content_encoding_that_encodes_nothing_is_passed_over
        a_store_that_is_not_ready_yet_is_asked_again
        all_of_an_archive_as_a_part_is_all_of_it
        bytes_around_an_archive_are_no_part_of_it
        requests_announce_their_bodies_as_curl_does
        deliveries_that_are_not_taken_are_told_to_their_job
        a_rotation_refuses_no_genuine_delivery;
    inputs:
        bad_orders_are_typed_errors
        an_exporter_that_cannot_work_is_not_built
        a_taken_address_is_named
        nothing_that_is_shown_holds_a_secret
        a_client_of_ones_own_is_used;
}
