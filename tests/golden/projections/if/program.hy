(defchor buy [Buyer Seller] (-> Buyer Seller Buyer) [order catalogue]
  (let [price (Seller->Buyer (Seller (.get catalogue (Buyer->Seller (Buyer (get order "title"))))))]
    (if (Buyer=>Seller (Buyer (<= price (get order "budget"))))
        (do (Seller (print "sold"))
            (Buyer (print "bought at" price))
            (Buyer True))
        (Buyer False))))

(defchor local-choice [A B] (-> A B) [n]
  (A->B (A (if (> n 0) (if (< n 10) "small" "large") "negative"))))
