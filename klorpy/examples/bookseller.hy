"A buyer and a seller: the buyer asks for the price of a book, and orders it if the budget allows.

The buyer alone knows the budget, the seller alone the catalogue. Neither is ever sent."

(require klorpy *)

(defn ship [address]
  "Give a book to the carrier; the date of delivery. The carrier of this shop is as fast as the address is short."
  f"2030-01-{(+ 2 (% (len address) 28)) :02}")

(defchor buy-book [B S] (-> B S B) [order catalogue]
  "The date of delivery, or None when the buyer does not buy."
  (let [title (B->S (B (get order "title")))
        price (S->B (S (.get catalogue title)))]
    (if (B=>S (B (and (is-not price None)
                      (<= price (get order "budget")))))
      (let [date (S->B (S (ship (B->S (B (get order "address"))))))]
        (B (print "The book arrives on" date))
        date)
      (do
        (S (print "No sale of" title))
        (B None)))))
