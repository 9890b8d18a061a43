"Two buyers and a shop, where the way in which the buyers decide is an argument.

`buy-together` knows that Ann decides and that Bob takes part, `(-> Ann Ann | Bob)`, but not how they do it."

(require klorpy *)
(import klorpy.examples.bookseller [ship])

(defchor buy-together [Ann Bob Shop] (-> Ann Shop (-> Ann Ann | Bob) Ann) [order catalogue decide]
  "The date of delivery, or None. `decide` says whether to buy at a price."
  (let [title (Ann->Shop (Ann (get order "title")))
        price (Shop->Ann (Shop (.get catalogue title)))
        ;; Bob takes part in a decision, so he has to know whether there is one.
        wanted (if (Ann=>Bob (Ann (is-not price None)))
                 (decide price)
                 (Ann False))]
    (if (Ann=>Shop wanted)
      (Shop->Ann (Shop (ship (Ann->Shop (Ann (get order "address"))))))
      (Ann None))))

(defchor buy-with-help [Ann Bob Shop] (-> Ann Shop Bob Ann) [order catalogue savings]
  "Bob pays half of the price, as far as his savings go."
  (buy-together [Ann Bob Shop] order catalogue
    (chor (-> Ann Ann) [price]
      (let [help (Bob->Ann (Bob (min savings (// (Ann->Bob price) 2))))]
        (Ann (<= (- price help) (get order "budget")))))))

(defchor buy-alone [Ann Bob Shop] (-> Ann Shop Ann) [order catalogue]
  "Bob is there, but is not asked."
  (buy-together [Ann Bob Shop] order catalogue
    (chor (-> Ann Ann | Bob) [price]
      (Ann (<= price (get order "budget"))))))
