//! The simulated APIs of the senders, over real sockets: every rule that a client has to live with.

mod hmrc;
mod hmrc_acknowledge;
mod hmrc_faults;
mod hmrc_list;
mod hmrc_token;
mod pay;
mod pay_lives;
mod pay_payment;
mod pay_search;
mod response;
